#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>

#include "kernel.cuh"

void Gemm(tvm::ffi::TensorView a, tvm::ffi::TensorView b, tvm::ffi::TensorView c) {
  const DLDevice device = a.device();
  const auto stream =
      static_cast<cudaStream_t>(TVMFFIEnvGetStream(device.device_type, device.device_id));
  const int m = static_cast<int>(a.size(0));
  const dim3 grid(kN / kTile, (m + kTile - 1) / kTile);
  GemmKernel<<<grid, dim3(kTile, kTile), 0, stream>>>(
      static_cast<const half*>(a.data_ptr()), static_cast<const half*>(b.data_ptr()),
      static_cast<half*>(c.data_ptr()), m);
  const cudaError_t error = cudaGetLastError();
  TVM_FFI_ICHECK(error == cudaSuccess) << cudaGetErrorString(error);
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(gemm, Gemm)

#pragma once

#include <cuda_fp16.h>

constexpr int kN = 256;
constexpr int kK = 128;
constexpr int kTile = 16;

// C[M, N] = A[M, K] * B[N, K]^T; one 16x16 tile of C per block, B read along K.
__global__ void GemmKernel(const half* a, const half* b, half* c, int m) {
  __shared__ half tile_a[kTile][kTile + 1];
  __shared__ half tile_b[kTile][kTile + 1];
  const int row = blockIdx.y * kTile + threadIdx.y;
  const int first_column = blockIdx.x * kTile;
  float sum = 0.0f;
  for (int k = 0; k < kK; k += kTile) {
    const half zero = __float2half(0.0f);
    tile_a[threadIdx.y][threadIdx.x] = row < m ? a[row * kK + k + threadIdx.x] : zero;
    tile_b[threadIdx.y][threadIdx.x] = b[(first_column + threadIdx.y) * kK + k + threadIdx.x];
    __syncthreads();
    for (int i = 0; i < kTile; ++i) {
      sum += __half2float(tile_a[threadIdx.y][i]) * __half2float(tile_b[threadIdx.x][i]);
    }
    __syncthreads();
  }
  if (row < m) c[row * kN + first_column + threadIdx.x] = __float2half(sum);
}

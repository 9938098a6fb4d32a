#include <torch/extension.h>

#include <cmath>

torch::Tensor run(torch::Tensor hidden_states, torch::Tensor weight) {
  TORCH_CHECK(hidden_states.is_cpu(), "hidden_states must be on the CPU");
  constexpr int64_t kHidden = 128;
  const torch::Tensor x = hidden_states.contiguous();
  const torch::Tensor scale = weight.to(torch::kFloat32).contiguous();
  torch::Tensor output = torch::empty_like(x);
  const auto* in = x.data_ptr<at::BFloat16>();
  const auto* w = scale.data_ptr<float>();
  auto* out = output.data_ptr<at::BFloat16>();
  at::parallel_for(0, x.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto* source = in + row * kHidden;
      float sum = 0.0f;
      for (int64_t i = 0; i < kHidden; ++i) {
        const float value = static_cast<float>(source[i]);
        sum += value * value;
      }
      const float inverse_rms = 1.0f / std::sqrt(sum / kHidden + 1e-6f);
      for (int64_t i = 0; i < kHidden; ++i) {
        out[row * kHidden + i] = static_cast<float>(source[i]) * inverse_rms * w[i];
      }
    }
  });
  return output;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("run", &run);
}

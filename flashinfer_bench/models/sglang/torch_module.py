"""The names of torch that constructors use, as stand-ins."""

from __future__ import annotations

from typing import Any

from flashinfer_bench.models.evaluator.standard_library import Shell
from flashinfer_bench.models.evaluator.values import Unknown
from flashinfer_bench.models.sglang.tensors import (
    DTYPES,
    DType,
    Net,
    NetDict,
    NetList,
    Parameter,
    Tensor,
    filled,
)


def _shape(sizes: tuple[Any, ...]) -> Any:
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    if any(isinstance(it, Tensor) for it in sizes):
        return None
    return tuple(sizes)


class Torch:
    """Stand-ins of one evaluation; the default dtype is that of the model."""

    def __init__(self, dtype: str, capability: tuple[int, int]) -> None:
        self.dtype = DTYPES[dtype]
        self.capability = capability

    def _filled(self, *sizes: Any, size: Any = None, dtype: Any = None, **options: Any) -> Tensor:
        found = dtype if isinstance(dtype, DType) else self.dtype
        return Tensor(_shape(sizes if size is None else (size,)), found)

    def _filling(self, value: int) -> Any:
        return lambda *sizes, **options: filled(self._filled(*sizes, **options), value)

    def _normal(self, mean: Any, std: Any = 1, size: Any = None, **options: Any) -> Any:
        """Of a shape, or of that of its means."""
        return self._like(mean) if size is None else self._filled(size=size, **options)

    def _full(self, size: Any, value: Any = 0, dtype: Any = None, **options: Any) -> Tensor:
        return Tensor(_shape((size,)), dtype if isinstance(dtype, DType) else self.dtype)

    def _like(self, other: Any, dtype: Any = None, **options: Any) -> Any:
        return Tensor(other.known, dtype or other.dtype) if isinstance(other, Tensor) else Tensor()

    def _arange(self, *bounds: Any, dtype: Any = None, **options: Any) -> Tensor:
        known = None
        if all(isinstance(it, int) for it in bounds):
            known = (len(range(*bounds)),)
        return Tensor(known, dtype or DTYPES["int64"])

    def _tensor(self, data: Any, dtype: Any = None, **options: Any) -> Tensor:
        sizes: list[int] = []
        inner = data
        while isinstance(inner, (list, tuple)):
            sizes.append(len(inner))
            inner = inner[0] if inner else None
        return Tensor(tuple(sizes), dtype if isinstance(dtype, DType) else self.dtype)

    def module(self) -> Shell:
        """What stands for `torch`."""
        nn = self.nn()
        same = _identity
        torch = Shell(
            "torch",
            nn=nn,
            Tensor=Tensor,
            device=lambda *args, **keywords: Unknown("a device", quiet=True),
            dtype=DType,
            Size=tuple,
            version=Shell("torch.version", cuda="13.0", hip=None),
            cuda=self._cuda(),
            get_default_dtype=lambda: self.dtype,
            finfo=lambda dtype=None: Unknown("torch.finfo", quiet=True),
            no_grad=_decorator,
            inference_mode=_decorator,
            compile=_decorator,
            jit=Shell("torch.jit", script=same),
            distributed=Shell("torch.distributed", get_rank=lambda *a: 0),
            __version__="2.11.0",
            **DTYPES,
        )
        for name in ("empty", "rand", "randn"):
            torch.__dict__[name] = self._filled
        for name, value in (("zeros", 0), ("ones", 1)):
            torch.__dict__[name] = self._filling(value)
        torch.__dict__.update(all=_all, normal=self._normal)
        for name in ("empty_like", "zeros_like", "ones_like", "randn_like"):
            torch.__dict__[name] = self._like
        torch.__dict__.update(full=self._full, arange=self._arange, tensor=self._tensor)
        torch.__dict__.update(is_tensor=lambda it: isinstance(it, Tensor), linspace=_linspace)
        for name in ("cat", "stack", "triu", "outer", "einsum"):
            torch.__dict__[name] = _computed
        for name in ("log", "exp", "expm1", "sin", "cos", "sqrt", "rsqrt", "abs", "clamp"):
            torch.__dict__[name] = _elementwise
        return torch

    def _cuda(self) -> Shell:
        return Shell(
            "torch.cuda",
            is_available=lambda: True,
            device_count=lambda: 8,
            get_device_capability=lambda device=None: self.capability,
            current_device=lambda: 0,
        )

    def nn(self) -> Shell:
        """What stands for `torch.nn`."""
        plain = ("Identity", "Dropout", "ReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "Softplus")
        more = ("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "AvgPool1d", "Flatten", "GLU")
        other = ("Softmax", "LeakyReLU", "ELU", "PixelShuffle", "PixelUnshuffle", "Unflatten")
        pads = ("ReflectionPad1d", "ConstantPad1d", "ZeroPad2d", "MaxPool1d", "Hardtanh", "ReLU6")
        last = ("Upsample",)
        nets = {name: _weightless(name) for name in (*plain, *more, *other, *pads, *last)}
        nets.update(_weighted(self))
        nets["MultiheadAttention"] = _multihead(self, nets["Linear"])
        init = Shell("torch.nn.init")
        return Shell(
            "torch.nn",
            Module=Net,
            ModuleList=_named(NetList, "ModuleList"),
            Sequential=_named(NetList, "Sequential"),
            ModuleDict=_named(NetDict, "ModuleDict"),
            ParameterList=_parameter_list(),
            Parameter=Parameter,
            UninitializedParameter=Parameter,
            Buffer=lambda data=None, persistent=True: data,
            init=init,
            functional=Shell("torch.nn.functional", scaled_dot_product_attention=_computed),
            parameter=Shell(
                "torch.nn.parameter", Parameter=Parameter, UninitializedParameter=Parameter
            ),
            modules=Shell("torch.nn.modules"),
            utils=Shell("torch.nn.utils"),
            **nets,
        )


def _identity(value: Any = None, *args: Any, **keywords: Any) -> Any:
    return value


def _computed(*args: Any, **keywords: Any) -> Tensor:
    return Tensor()


def _linspace(start: Any, end: Any, steps: Any = 100, **options: Any) -> Tensor:
    return Tensor((steps,) if isinstance(steps, int) else None)


def _multihead(torch: Torch, linear: type) -> type:
    """With projections of queries, keys and values in one weight where their widths are equal."""
    projection = type("NonDynamicallyQuantizableLinear", (linear,), {})

    def start(
        self: Any, embed_dim: Any, num_heads: Any, dropout: Any = 0.0, bias: Any = True,
        add_bias_kv: Any = False, add_zero_attn: Any = False, kdim: Any = None, vdim: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        Net.__init__(self)
        self.embed_dim, self.num_heads = embed_dim, num_heads
        widths = {"q": embed_dim, "k": kdim or embed_dim, "v": vdim or embed_dim}
        shapes: dict[str, Any]
        shapes = {f"{it}_proj_weight": (embed_dim, width) for it, width in widths.items()}
        if set(widths.values()) == {embed_dim}:
            shapes = {"in_proj_weight": (3 * embed_dim, embed_dim)}
        if bias:
            shapes["in_proj_bias"] = (3 * embed_dim,)
        for name, shape in shapes.items():
            self.register_parameter(name, Parameter(Tensor(shape, torch.dtype)))
        self.out_proj = projection(embed_dim, embed_dim, bias=bias)

    return type("MultiheadAttention", (Net,), {"__init__": start})


def _all(tensor: Any, *args: Any, **keywords: Any) -> Any:
    """Known where all elements are alike."""
    same = getattr(tensor, "filled", None)
    return Unknown("torch.all", quiet=True) if same is None else bool(same)


def _elementwise(tensor: Any, *args: Any, **keywords: Any) -> Any:
    return Tensor(tensor.known, tensor.dtype) if isinstance(tensor, Tensor) else Tensor()


def _decorator(function: Any = None, *args: Any, **options: Any) -> Any:
    """With and without arguments, and as a context."""
    return function if callable(function) else _Context()


class _Context:
    def __call__(self, function: Any) -> Any:
        return function

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


def _named(kind: type, name: str) -> type:
    return type(name, (kind,), {})


def _weightless(name: str) -> type:
    return type(name, (Net,), {"__init__": lambda self, *args, **keywords: Net.__init__(self)})


def _parameter_list() -> type:
    def start(self: Any, values: Any = ()) -> None:
        Net.__init__(self)
        for at, value in enumerate(values):
            self.registry("_parameters")[str(at)] = value

    return type("ParameterList", (Net,), {"__init__": start})


def _weighted(torch: Torch) -> dict[str, type]:
    """Layers of torch.nn with weights, of full size on every rank."""

    def weights(net: Any, dtype: Any, **shapes: Any) -> None:
        found = dtype if isinstance(dtype, DType) else torch.dtype
        for name, shape in shapes.items():
            net.register_parameter(name, shape and Parameter(Tensor(shape, found)))

    def linear(
        self: Any, in_features: Any, out_features: Any, bias: Any = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        Net.__init__(self)
        self.in_features, self.out_features = in_features, out_features
        weights(
            self, dtype, weight=(out_features, in_features), bias=(out_features,) if bias else None
        )

    def embedding(
        self: Any, num_embeddings: Any, embedding_dim: Any, padding_idx: Any = None,
        *args: Any, dtype: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        Net.__init__(self)
        if isinstance(padding_idx, int) and isinstance(num_embeddings, int):
            assert padding_idx < num_embeddings, "Padding_idx must be within num_embeddings"
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        weights(self, dtype, weight=(num_embeddings, embedding_dim))

    def norm(
        self: Any, normalized_shape: Any, eps: Any = 1e-5, elementwise_affine: Any = True,
        bias: Any = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        Net.__init__(self)
        one = not isinstance(normalized_shape, (tuple, list))
        shape = (normalized_shape,) if one else tuple(normalized_shape)
        self.normalized_shape, self.eps = shape, eps
        scaled = shape if elementwise_affine else None
        weights(self, dtype, weight=scaled, bias=scaled if bias else None)

    def rms(
        self: Any, normalized_shape: Any, eps: Any = None, elementwise_affine: Any = True,
        **options: Any,
    ) -> None:  # fmt: skip
        norm(self, normalized_shape, eps, elementwise_affine, bias=False)

    def by_channels(
        self: Any, num_features: Any, eps: Any = 1e-5, momentum: Any = 0.1, affine: Any = True,
        *args: Any, **options: Any,
    ) -> None:  # fmt: skip
        Net.__init__(self)
        shape = (num_features,) if affine else None
        weights(self, options.get("dtype"), weight=shape, bias=shape)

    def prelu(self: Any, num_parameters: Any = 1, *args: Any, **options: Any) -> None:
        Net.__init__(self)
        weights(self, options.get("dtype"), weight=(num_parameters,))

    def group_norm(
        self: Any, num_groups: Any, num_channels: Any, eps: Any = 1e-5, affine: Any = True,
        **options: Any,
    ) -> None:  # fmt: skip
        Net.__init__(self)
        shape = (num_channels,) if affine else None
        weights(self, options.get("dtype"), weight=shape, bias=shape)

    def convolution(dimensions: int, *, transposed: bool = False) -> Any:
        def start(
            self: Any, in_channels: Any, out_channels: Any, kernel_size: Any, stride: Any = 1,
            padding: Any = 0, dilation: Any = 1, groups: Any = 1, bias: Any = True,
            padding_mode: Any = "zeros", device: Any = None, dtype: Any = None, **options: Any,
        ) -> None:  # fmt: skip
            Net.__init__(self)
            self.in_channels, self.out_channels = in_channels, out_channels
            one = not isinstance(kernel_size, (tuple, list))
            kernel = (kernel_size,) * dimensions if one else tuple(kernel_size)
            self.kernel_size, self.stride, self.padding = kernel, stride, padding
            first, second = out_channels, in_channels
            if transposed:
                first, second = in_channels, out_channels
            shape = (first, second // groups, *kernel)
            weights(self, dtype, weight=shape, bias=(out_channels,) if bias else None)

        return start

    starts = {
        "Linear": linear,
        "Embedding": embedding,
        "LayerNorm": norm,
        "RMSNorm": rms,
        "GroupNorm": group_norm,
        "PReLU": prelu,
    }
    for name in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"):
        starts[name] = by_channels
    for dimensions in (1, 2, 3):
        starts[f"Conv{dimensions}d"] = convolution(dimensions)
        starts[f"ConvTranspose{dimensions}d"] = convolution(dimensions, transposed=True)
    return {name: type(name, (Net,), {"__init__": start}) for name, start in starts.items()}


def modules(torch: Shell) -> dict[str, Any]:
    """Stand-ins by the name of the module they are imported from."""
    nn = torch.nn
    return {
        "torch": torch,
        "torch.nn": nn,
        "torch.nn.functional": nn.functional,
        "torch.nn.parameter": nn.parameter,
        "torch.nn.init": nn.init,
        "torch.cuda": torch.cuda,
        "torch.distributed": torch.distributed,
    }


__all__ = ["Torch", "modules"]

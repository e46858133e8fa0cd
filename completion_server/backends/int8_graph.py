"""The forward pass of a Llama or Qwen2 decoder over int8 weights, as an ONNX graph for ONNX Runtime.

Kernels: MatMulNBits (activations to int8 per block of 16, products in int8, sums in float32) and
GroupQueryAttention (rotary embedding, appends to the KV buffers in place, causal). Operators:
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper

from completion_server.backends.int8_weights import BLOCK
from completion_server.backends.native_config import NativeConfig
from completion_server.backends.weight_files import WeightFiles

_INT8_PRODUCTS = 4  # the accuracy level that computes in int8
_STEPS = 127.0
_TINY = 1e-30
_MICROSOFT = "com.microsoft"
_IR_VERSION, _OPSET = 10, 21


def build_graph(config: NativeConfig, weights: WeightFiles) -> tuple[bytes, dict[str, npt.NDArray[Any]]]:
    """The model as a protobuf without its weights, and the weights by name, to be handed over beside it.

    Inputs: ``hidden`` (1, T, C) float32; ``last_key`` (1,) int32, the index of the last token; ``num_keys`` ()
    int32; ``positions`` (1, T) int64; ``mask`` (1, 1, T, num_keys) float32, added to the attention's scores;
    ``first_wanted`` (1,) int64, the first of the T tokens whose logits are wanted; for each layer
    ``past_keys.L`` and ``past_values.L`` (1, H, capacity, D). Outputs: ``logits`` (1, N, V), and ``keys.L`` and
    ``values.L``, which must be bound to the same memory as the past ones.
    """
    return _GraphBuilder(config, weights).build()


class _GraphBuilder:
    def __init__(self, config: NativeConfig, weights: WeightFiles) -> None:
        self._config = config
        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._handed_over: dict[str, npt.NDArray[Any]] = {}
        kv_shape: list[str | int | None] = [1, config.num_kv_heads, "capacity", config.head_dim]
        self._inputs = [
            helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, "tokens", config.hidden_size]),
            helper.make_tensor_value_info("last_key", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("num_keys", TensorProto.INT32, []),
            helper.make_tensor_value_info("positions", TensorProto.INT64, [1, "tokens"]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, "tokens", "keys"]),
            helper.make_tensor_value_info("first_wanted", TensorProto.INT64, [1]),
        ]
        self._outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "wanted", "vocabulary"])]
        for index in range(config.num_layers):
            for name in ("keys", "values"):
                past, present = f"past_{name}.{index}", f"{name}.{index}"
                self._inputs.append(helper.make_tensor_value_info(past, TensorProto.FLOAT, kv_shape))
                self._outputs.append(helper.make_tensor_value_info(present, TensorProto.FLOAT, kv_shape))

    def build(self) -> tuple[bytes, dict[str, npt.NDArray[Any]]]:
        self._add_rotary_tables()
        first_norm = ["hidden", self._weight("0.attention_norm")]
        normed = self._add("SimplifiedLayerNormalization", first_norm, axis=-1, epsilon=self._config.norm_eps)
        residual = "hidden"
        for index in range(self._config.num_layers):
            attended = self._attention(index, normed)
            normed, residual = self._add_norm(residual, attended, f"{index}.mlp_norm")
            is_last = index + 1 == self._config.num_layers
            next_norm = "norm" if is_last else f"{index + 1}.attention_norm"
            normed, residual = self._add_norm(residual, self._mlp(index, normed), next_norm)
        self._head(normed)
        graph = helper.make_graph(self._nodes, "decoder", self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        return model.SerializeToString(), self._handed_over

    def _attention(self, index: int, normed: str) -> str:
        config = self._config
        qkv = self._linear(normed, f"{index}.qkv")
        pasts = [f"past_keys.{index}", f"past_values.{index}"]
        attended, presents = f"attended.{index}", [f"keys.{index}", f"values.{index}"]
        self._nodes.append(
            helper.make_node(
                "GroupQueryAttention",
                [qkv, "", "", *pasts, "last_key", "num_keys", "rotary_cos", "rotary_sin", "positions", "mask"],
                [attended, *presents],
                domain=_MICROSOFT,
                num_heads=config.num_heads,
                kv_num_heads=config.num_kv_heads,
                do_rotary=1,
            )
        )
        return self._linear(attended, f"{index}.output")

    def _mlp(self, index: int, normed: str) -> str:
        gate_up = self._linear(normed, f"{index}.gate_up")
        gate, up = f"gate.{index}", f"up.{index}"
        self._nodes.append(helper.make_node("Split", [gate_up], [gate, up], axis=-1, num_outputs=2))
        activated = self._add("QuickGelu", [gate], _MICROSOFT, alpha=1.0)  # x * sigmoid(x): SiLU
        return self._linear(self._add("Mul", [activated, up]), f"{index}.down")

    def _head(self, normed: str) -> None:
        """Logits of the wanted tokens. The head sees activations at 16 bits: at 8 it agrees less with float32."""
        self._constant("axis_1", np.array([1], np.int64))
        self._constant("no_end", np.array([np.iinfo(np.int64).max], np.int64))
        wanted = self._add("Slice", [normed, "first_wanted", "no_end", "axis_1"])
        coarse = self._rounded_to_int8(wanted)
        fine = self._add("Sub", [wanted, coarse])
        halves = self._add("Concat", [coarse, fine], axis=1)
        name = "embedding" if self._config.has_tied_embeddings else "head"
        products = self._linear(halves, name)
        self._nodes.append(helper.make_node("Split", [products], ["coarse", "fine"], axis=1, num_outputs=2))
        self._nodes.append(helper.make_node("Add", ["coarse", "fine"], ["logits"]))

    def _rounded_to_int8(self, wanted: str) -> str:
        """``wanted`` (1, N, C) rounded as MatMulNBits is going to do it, so that it takes these values exactly."""
        width = self._config.hidden_size
        self._constant("blocked", np.array([1, -1, width // BLOCK, BLOCK], np.int64))
        self._constant("flat", np.array([1, -1, width], np.int64))
        self._constant("axis_last", np.array([-1], np.int64))
        self._constant("steps", np.array(_STEPS, np.float32))
        self._constant("tiny", np.array(_TINY, np.float32))
        blocks = self._add("Reshape", [wanted, "blocked"])
        largest = self._add("ReduceMax", [self._add("Abs", [blocks]), "axis_last"], keepdims=1)
        scale = self._add("Max", [self._add("Div", [largest, "steps"]), "tiny"])
        rounded = self._add("Mul", [self._add("Round", [self._add("Div", [blocks, scale])]), scale])
        return self._add("Reshape", [rounded, "flat"])

    def _linear(self, x: str, name: str) -> str:
        """``x`` times the transposed int8 weight ``name``, plus its bias if it has one."""
        num_out, num_blocks, _ = self._weights.shape(f"{name}.codes")
        inputs = [x, self._weight(f"{name}.codes"), self._weight(f"{name}.scales")]
        if f"{name}.bias" in self._weights:
            inputs += ["", "", self._weight(f"{name}.bias")]
        return self._add(
            "MatMulNBits",
            inputs,
            _MICROSOFT,
            K=num_blocks * BLOCK,
            N=num_out,
            bits=8,
            block_size=BLOCK,
            accuracy_level=_INT8_PRODUCTS,
        )

    def _add_norm(self, residual: str, change: str, norm: str) -> tuple[str, str]:
        """The sum of ``residual`` and ``change``, normalised and as it is."""
        normed, total = f"normed.{norm}", f"residual.{norm}"
        self._nodes.append(
            helper.make_node(
                "SkipSimplifiedLayerNormalization",
                [residual, change, self._weight(norm)],
                [normed, "", "", total],
                domain=_MICROSOFT,
                epsilon=self._config.norm_eps,
            )
        )
        return normed, total

    def _add_rotary_tables(self) -> None:
        """cos and sin (max_context, D/2)."""
        config = self._config
        half = np.arange(0, config.head_dim, 2) / config.head_dim
        angles = np.outer(np.arange(config.max_context), config.rope_theta**-half)
        self._hand_over("rotary_cos", np.cos(angles).astype(np.float32))
        self._hand_over("rotary_sin", np.sin(angles).astype(np.float32))

    def _weight(self, name: str) -> str:
        if name not in self._handed_over:
            self._hand_over(name, self._weights.mapped(name))
        return name

    def _hand_over(self, name: str, values: npt.NDArray[Any]) -> None:
        """A placeholder in the graph for ``values``, which the session gets as they are."""
        self._handed_over[name] = values
        tensor = TensorProto(name=name, data_location=TensorProto.EXTERNAL, dims=values.shape)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor.external_data.add(key="location", value="handed over")
        self._constants.append(tensor)

    def _constant(self, name: str, values: npt.NDArray[Any]) -> None:
        dtype = helper.np_dtype_to_tensor_dtype(values.dtype)
        self._constants.append(helper.make_tensor(name, dtype, values.shape, values.tobytes(), raw=True))

    def _add(self, operator: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        """Append a node with one output; returns that output's name."""
        name = f"{operator}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **attributes))
        return name

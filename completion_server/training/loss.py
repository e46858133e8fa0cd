"""Weighted cross entropy of the output head, row block by row block: the logits of a batch never exist at once.

The gradient is computed in the forward pass, as the loss is a sum over rows. Some rows of the embedding (new
sentinel tokens) may be trained while the rest is frozen.
"""

from __future__ import annotations

from typing import Any

import torch

_BLOCK_ROWS = 1024


class HeadLoss(torch.autograd.Function):
    """``apply(hidden, head, row_ids, rows, target_ids, weights)`` -> (weighted sum of NLL, NLL per row).

    ``hidden`` (N, C); ``head`` (V, C); ``rows`` (R, C) replace those of ``head`` numbered ``row_ids`` (R,), all in
    the computing type; ``target_ids`` and ``weights`` (N,). Both results are float32; the second has no gradient.
    """

    @staticmethod
    def forward(  # noqa: PLR0913 - the signature is autograd's
        ctx: Any,
        hidden: torch.Tensor,
        head: torch.Tensor,
        row_ids: torch.Tensor,
        rows: torch.Tensor,
        target_ids: torch.Tensor,
        weights: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wants_head = head.requires_grad
        grad_hidden = torch.empty_like(hidden)
        grad_head = torch.zeros(head.shape, dtype=torch.float32, device=head.device) if wants_head else None
        grad_rows = torch.zeros(rows.shape, dtype=torch.float32, device=rows.device)
        nll = torch.empty(hidden.shape[0], dtype=torch.float32, device=hidden.device)
        for start in range(0, hidden.shape[0], _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            block, targets = hidden[part], target_ids[part, None]
            logits = block @ head.T
            if row_ids.numel():
                logits[:, row_ids] = block @ rows.T
            log_probs = torch.log_softmax(logits.float(), dim=-1)
            nll[part] = -log_probs.gather(1, targets).squeeze(1)
            grad = log_probs.exp_().scatter_add_(1, targets, torch.full_like(targets, -1, dtype=torch.float32))
            grad = grad.mul_(weights[part, None]).to(hidden.dtype)
            if row_ids.numel():
                grad_rows += (grad[:, row_ids].T @ block).float()
                of_rows = grad[:, row_ids] @ rows
                grad[:, row_ids] = 0
                grad_hidden[part] = grad @ head + of_rows
            else:
                grad_hidden[part] = grad @ head
            if grad_head is not None:
                grad_head += (grad.T @ block).float()
        ctx.save_for_backward(grad_hidden, grad_head, grad_rows)
        ctx.dtypes = (head.dtype, rows.dtype)
        ctx.mark_non_differentiable(nll)
        return (nll * weights).sum(), nll

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        grad_hidden, grad_head, grad_rows = ctx.saved_tensors
        scale = grads[0]
        head_type, rows_type = ctx.dtypes
        to_head = None if grad_head is None else (grad_head * scale).to(head_type)
        return (
            grad_hidden * scale.to(grad_hidden.dtype),
            to_head,
            None,
            (grad_rows * scale).to(rows_type),
            None,
            None,
        )

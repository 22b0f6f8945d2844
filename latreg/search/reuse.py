"""What images of a search have in common is computed once.

Mixing from layer l on leaves all below l as in the source. And what a layer makes of its input is affine in w up to its
first nonlinearity, so at the first mixed layer every alpha lies on the line between two stored tensors.

An image is always computed by the same steps, whether or not a memory holds some of them: the layers below the first
mixed one with the source's w, there the line between the responses to source and partner, then the other layers. So
nothing that a search decides depends on what was rendered before, and a row renders the same image again.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from latreg.compute.memory import give_back_freed_memory
from latreg.search.recipes import Prefix, Request, blends, cut, prefix, replaced, unmixed

Tensors = tuple[Tensor, ...]  # batched in dimension 0


@runtime_checkable
class LayerwiseGenerator(Protocol):
    """A generator that can be run layer by layer. The state before layer 0 is (), that after the last is (images,)."""

    num_ws: int
    map_sizes: list[int]  # floats of an image's feature maps, layer by layer

    def respond(self, layer: int, state: Tensors, w: Tensor) -> Tensors:
        """What a layer makes of a state up to its first nonlinearity; affine in w (N, w_dim). The state is used up."""
        ...

    def advance(self, layer: int, response: Tensors) -> Tensors:
        """The state that enters the next layer. The response is used up."""
        ...


CPU_BYTES = 384 * 2**20  # with more a search is hardly faster, see docs/decisions.md
CUDA_SHARE = 0.25  # of the memory of a GPU
TURNOVER = CPU_BYTES  # that is forgotten until the holes it leaves are given back


def memory_bytes(device: torch.device) -> int:
    """How much may be kept on a device."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory * CUDA_SHARE)
    return CPU_BYTES


Key = tuple[str, Prefix]


class Memory:
    """Tensors by key; of too many, those not asked for longest are forgotten.

    Args:
        capacity: in bytes.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._forgotten = 0  # bytes since memory was given back
        self._entries: OrderedDict[Key, Tensors] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def get(self, key: Key) -> Tensors | None:
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: Key, value: Tensors) -> None:
        """Keep a copy: the value may be part of a batch, all of which it would keep alive."""
        if key in self._entries:
            return
        self._entries[key] = tuple(tensor.clone() for tensor in value)
        self.size += _bytes(value)
        while self.size > self.capacity:
            forgotten = _bytes(self._entries.popitem(last=False)[1])
            self.size -= forgotten
            self._forgotten += forgotten
        if self._forgotten > TURNOVER:
            give_back_freed_memory()
            self._forgotten = 0


class ReusingSynthesis:
    """Synthesizes requests with a layer-by-layer generator and a memory.

    Args:
        generator: the network.
        compose: requests => w (N, L, w_dim), truncated and mixed.
        chunk: images per forward pass.
        memory: for states and responses.
        layer_sets: of the mixtures to come, so that an image's states which they begin with are kept.
    """

    def __init__(
        self,
        generator: LayerwiseGenerator,
        compose: Callable[[Sequence[Request]], Tensor],
        chunk: int,
        memory: Memory,
        layer_sets: Sequence[Sequence[int]] = (),
    ) -> None:
        self.generator = generator
        self.compose = compose
        self.chunk = chunk
        self.memory = memory
        self._continued: dict[tuple[int, ...], set[int]] = {}  # layers replaced => those that sets replace next
        for layers in map(sorted, layer_sets):
            for place, layer in enumerate(layers):
                self._continued.setdefault(tuple(layers[:place]), set()).add(layer)

    def __call__(self, requests: Sequence[Request]) -> Iterator[tuple[list[int], Tensor]]:
        """Yields images (N, C, H, W), about [0, 1], with their places among the requests."""
        starts = [(self._first_layer(request), blends(request)) for request in requests]
        order = sorted(range(len(requests)), key=starts.__getitem__)
        for i in range(0, len(order), self.chunk):
            places = order[i : i + self.chunk]
            yield places, self._synthesize([requests[place] for place in places], [starts[place] for place in places])

    def _first_layer(self, request: Request) -> int:
        """The layer to start at: the last one whose state is in memory, but no later than the first blended one."""
        layers = tuple(sorted(request.proposal.layers))
        if not layers:
            return 0
        if len(layers) > 1 and not blends(request):
            for layer in reversed(layers[1:]):
                if _state_key(request, layer) in self.memory:
                    return layer
        return layers[0]

    def _synthesize(self, requests: Sequence[Request], starts: Sequence[tuple[int, bool]]) -> Tensor:
        """Images of requests by what they start with: the layer, then whether they blend there.

        Those that start later join where they start, so the late layers, the expensive ones, run on full batches.
        """
        ws = self.compose(requests)
        state: Tensors = ()
        for layer in range(starts[0][0], self.generator.num_ws):
            running, plain, end = (bisect_left(starts, start) for start in ((layer,), (layer, True), (layer + 1,)))
            response: Tensors = ()
            if plain:
                state = _join(state, self._states(requests[running:plain], layer))
                response = self.generator.respond(layer, state, ws[:plain, layer])
            if plain < end:
                response = _join(response, self._blended_responses(requests[plain:end], layer))
            state = self.generator.advance(layer, response)
            self._remember(requests[:end], layer, state)
        return state[0]

    def _remember(self, requests: Sequence[Request], layer: int, state: Tensors) -> None:
        """Keep what a request with more replaced layers could start from."""
        for row, request in enumerate(requests):
            if layer + 1 in self._continued.get(request.proposal.layers, ()) and not blends(request):
                self.memory.put(_state_key(request, layer + 1), _row(state, row))

    def _states(self, requests: Sequence[Request], layer: int) -> list[Tensors]:
        """The states in which requests enter a layer, one by one."""
        if layer == 0:
            return []
        lacking: dict[Key, Request] = {}
        found: dict[Key, Tensors] = {}
        keys = [_state_key(request, layer) for request in requests]
        for key, request in zip(keys, requests, strict=True):
            if (state := self.memory.get(key)) is None:
                lacking[key] = cut(request, layer)
            else:
                found[key] = state
        if lacking:
            states = self._run_up_to(layer, list(lacking.values()))
            found.update((key, _row(states, row)) for row, key in enumerate(lacking))
        return [found[key] for key in keys]

    def _run_up_to(self, end: int, requests: Sequence[Request]) -> Tensors:
        """The states in which requests enter layer `end`; they and those on the way are kept."""
        ws = self.compose(requests)
        state: Tensors = ()
        for layer in range(end):
            state = self.generator.advance(layer, self.generator.respond(layer, state, ws[:, layer]))
            for row, request in enumerate(requests):
                self.memory.put(_state_key(request, layer + 1), _row(state, row))
        return state

    def _blended_responses(self, requests: Sequence[Request], layer: int) -> list[Tensors]:
        """The responses of their first mixed layer to mixtures of source and partner, one by one."""
        starts = self._responses([unmixed(request) for request in requests], layer)
        ends = self._responses([replaced(request) for request in requests], layer)
        return [
            tuple(a.lerp(b, request.proposal.alpha) for a, b in zip(start, end, strict=True))
            for request, start, end in zip(requests, starts, ends, strict=True)
        ]

    def _responses(self, requests: Sequence[Request], layer: int) -> list[Tensors]:
        """The responses of a layer to w of source or partner, one by one."""
        lacking: dict[Key, Request] = {}
        found: dict[Key, Tensors] = {}
        keys = [_response_key(request, layer) for request in requests]
        for key, request in zip(keys, requests, strict=True):
            if (response := self.memory.get(key)) is None:
                lacking[key] = request
            else:
                found[key] = response
        if lacking:
            missing = list(lacking.values())
            w = self.compose(missing)[:, layer]
            responses = self.generator.respond(layer, _join((), self._states(missing, layer)), w)
            for row, key in enumerate(lacking):
                found[key] = _row(responses, row)
                self.memory.put(key, found[key])
        return [found[key] for key in keys]


def _state_key(request: Request, layer: int) -> Key:
    """Of the state that enters a layer."""
    return "state", prefix(request, layer)


def _response_key(request: Request, layer: int) -> Key:
    return "response", prefix(request, layer + 1)


def _row(tensors: Tensors, row: int) -> Tensors:
    return tuple(tensor[row] for tensor in tensors)


def _join(batch: Tensors, rows: Sequence[Tensors]) -> Tensors:
    """A batch, () = none, with rows behind it."""
    if not rows:
        return batch
    columns = [[row[None] for row in column] for column in zip(*rows, strict=True)]
    heads = [[tensor] for tensor in batch] or [[]] * len(columns)
    return tuple(torch.cat(head + column) for head, column in zip(heads, columns, strict=True))


def _bytes(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors)

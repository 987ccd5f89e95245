"""The instructions of the native engine.

The features of a value are stored in the order in which they become known, so that a step of a pixel reads
and writes runs of features. Constants of that kind, such as what the rows above contribute, take the order
of the value they are added to.
"""

from collections.abc import Callable, Iterator

from pixelcnn.engines.native.build import code
from pixelcnn.engines.native.fusion import Arranged
from pixelcnn.engines.native.layout import Pool
from pixelcnn.engines.native.places import Place, Places, runs
from pixelcnn.engines.native.sums import Sums
from pixelcnn.engines.native.units import Units
from pixelcnn.program import (
    Attend,
    Condition,
    Elementwise,
    Lookup,
    Norm,
    Position,
    Slice,
    Table,
)

Emit = Callable[["Instructions", int, list[int]], Iterator[list[int]]]


class Instructions:
    """What the native engine is told to compute.

    Args:
        arranged: the program.
        size: rows and columns of the image.
        lanes: outputs that are computed together.
    """

    def __init__(self, arranged: Arranged, size: tuple[int, int], lanes: int) -> None:
        times, self.orders, self.fusion = arranged
        self.program, self.steps, self.stages = times.program, times.steps, times.stages
        self.size, self.pool = size, Pool(lanes)
        self.places = Places(arranged)
        self.sums = Sums(arranged, self.places, self.pool)
        self.units = Units(arranged, self.places, self.pool, size, self._emit)
        self.memories: list[list[int]] = []
        self.memory: dict[int, int] = {}
        self.map = self._map_of_condition()

    def at(self, stage: int) -> list[list[int]]:
        """All instructions of a stage, in order; asked for in the order of stages."""
        found: list[list[int]] = []
        for number in range(len(self.program.nodes)):
            scan = self.fusion.scans.get(number) if stage > self.steps else None
            if scan is None:
                found += self._of(number, stage)
                continue
            members = [other for other, of in self.fusion.scans.items() if of == scan]
            if number == max(members):  # together, a column at a time
                found += [words for one in sorted(members) for words in self._of(one, stage)]
        return found

    def _of(self, number: int, stage: int) -> Iterator[list[int]]:
        """Instructions that compute what a node learns at a stage."""
        node = self.program.nodes[number]
        if number in self.units:
            yield from self.units.at(number, stage)
            return
        if number in self.fusion.inside:
            return
        if number in self.fusion.endings:
            yield from self.sums.of(number, stage)
            return
        order = self.orders[number]
        features = order[self.stages[number][order] == stage].tolist()
        scan = self.fusion.scans.get(number, 0) if stage > self.steps else 0
        found = [*self._emit(number, features)] if features else []
        if isinstance(node, Attend) and stage == self.steps:
            found += self._remember(number)
        for kind, *words in found:
            yield [kind, scan, *words]

    def _emit(self, number: int, features: list[int]) -> Iterator[list[int]]:
        """Instructions for some features of a node that is no sum."""
        emit = EMITTERS.get(self.program.nodes[number].op, Instructions._pointwise)
        yield from emit(self, number, features)

    def _nothing(self, number: int, features: list[int]) -> Iterator[list[int]]:
        yield from ()

    def _map_of_condition(self) -> int | None:
        """The value that holds a row of the condition map, if there is one."""
        for node in self.program.nodes:
            if isinstance(node, Condition) and node.kind == "map":
                return self.places.add(len(node.weight), 1, "map")
        return None

    def _condition(self, number: int, features: list[int]) -> Iterator[list[int]]:
        """A map's linear function of each position; a label's or vector's is known from the start."""
        node = self.program.nodes[number]
        assert isinstance(node, Condition)
        if node.kind != "map":
            targets = [self.places.of(number, feature) for feature in features]
            constant = self.places.constants[number]
            yield from self._copies(targets, [Place(constant, i) for i in range(len(features))])
            return
        assert self.map is not None
        weight = node.weight.detach().cpu().float()[:, features]
        words = [code("kind", "product"), *self.places.run(number, features), len(features)]
        words += [self.map, 0, 0, 0, code("start", "zero"), code("operation", "copy"), -1]
        yield [*words, 1, 0, 0, 0, len(weight), self.pool.packed(weight)]

    def _pointwise(self, number: int, features: list[int]) -> Iterator[list[int]]:
        """One instruction for each run of features that is a run in every source too."""
        node = self.program.nodes[number]
        op, sources = self.fusion.gates.get(number, (node.op, node.sources))
        reads = [[self.places.of(source, f) for f in features] for source in sources]
        targets = [self.places.of(number, f) for f in features]
        for low, high in runs([targets, *reads]):
            function = [code("operation", op)]
            if number in self.fusion.tables:  # a rounded product with what a table gives
                table = self.program.nodes[self.fusion.tables[number]]
                assert isinstance(node, Elementwise) and isinstance(table, Table)
                constants = self.pool.add((*node.constants, *table.constants))
                function += [constants, self.pool.shared(table.table)]
            elif number not in self.fusion.gates:
                function = self.pool.function(node, features[low:high])
            words = [code("kind", "pointwise"), *targets[low], high - low, *function]
            yield [*words, *(word for read in reads for word in read[low])]

    def _copy(self, number: int, features: list[int]) -> Iterator[list[int]]:
        """The features of other values that are not computed in their place."""
        targets = [self.places.of(number, f) for f in features]
        reads = [self._origin(number, f) for f in features]
        yield from self._copies(targets, reads)

    def _copies(self, targets: list[Place], reads: list[Place]) -> Iterator[list[int]]:
        for low, high in runs([targets, reads]):
            if targets[low] != reads[low]:
                words = [code("kind", "pointwise"), *targets[low], high - low]
                yield [*words, code("operation", "copy"), *reads[low]]

    def _origin(self, number: int, feature: int) -> Place:
        node = self.program.nodes[number]
        for source in node.sources:
            if isinstance(node, Slice):
                return self.places.of(source, feature + node.start)
            if feature < self.program.width(source):
                return self.places.of(source, feature)
            feature -= self.program.width(source)
        raise AssertionError(number)

    def _norm(self, number: int, features: list[int]) -> Iterator[list[int]]:
        node = self.program.nodes[number]
        assert isinstance(node, Norm)
        source = node.sources[0]
        places = [self.places.of(source, feature) for feature in features]
        words = [code("kind", "norm"), *self.places.run(number, features), len(features)]
        words += [places[0].value, self.pool.add(node.gain.cpu()[features]), int(node.centred)]
        words += [0] if node.bias is None else [1, self.pool.add(node.bias.cpu()[features])]
        words.append(self.pool.add([node.epsilon]))
        groups = sorted({node.groups[feature] for feature in features})
        words.append(len(groups))
        for group in groups:
            members = [i for i, feature in enumerate(features) if node.groups[feature] == group]
            read = [places[i].feature for i in members]
            words += [len(read), *read, len(members), *members]
        yield words

    def _lookup(self, number: int, features: list[int]) -> Iterator[list[int]]:
        """One look-up for each run of features of one channel: a row of them for every level."""
        node = self.program.nodes[number]
        assert isinstance(node, Lookup)
        _, levels, size = node.table.shape
        channels = [feature // size for feature in features]
        targets = [self.places.of(number, feature) for feature in features]
        steady = [Place(channel, i) for i, channel in enumerate(channels)]
        for low, high in runs([targets, steady]):
            table = node.table.detach().cpu()[channels[low]]
            columns = [feature % size for feature in features[low:high]]
            place = self.places.of(node.sources[0], channels[low])
            words = [code("kind", "lookup"), *targets[low], high - low, *place, levels]
            yield [*words, self.pool.add(table[:, columns])]

    def _attend(self, number: int, features: list[int]) -> Iterator[list[int]]:
        node = self.program.nodes[number]
        assert isinstance(node, Attend)
        widths = [self.program.width(source) for source in node.sources]
        self.memory[number] = len(self.memories)
        token = self.pool.add(node.start)
        sizes = [node.heads, widths[1] // node.heads, widths[2] // node.heads]
        self.memories.append([*sizes, node.clock, token])
        copies, query = self._in_one_piece(node.sources[0])
        yield from copies
        words = [code("kind", "attend"), *self.places.run(number, features), len(features)]
        yield [*words, self.memory[number], *query]

    def _remember(self, number: int) -> Iterator[list[int]]:
        """Adds the key and value of a position to what later ones attend to."""
        _, keys, values = self.program.nodes[number].sources
        key_copies, key = self._in_one_piece(keys)
        value_copies, value = self._in_one_piece(values)
        yield from (*key_copies, *value_copies)
        words = [code("kind", "remember"), *key, self.program.width(keys)]
        yield [*words, self.memory[number], *value]

    def _in_one_piece(self, number: int) -> tuple[list[list[int]], Place]:
        """A value whose features lie in their own order, and what copies them there if they do not."""
        node = self.program.nodes[number]
        reads = [self.places.of(number, feature) for feature in range(node.width)]
        if len(list(runs([reads]))) == 1:
            return [], reads[0]
        copy = self.places.add(node.width, node.clock, "now")
        targets = [Place(copy, feature) for feature in range(node.width)]
        return list(self._copies(targets, reads)), targets[0]

    def _position(self, number: int, features: list[int]) -> Iterator[list[int]]:
        node = self.program.nodes[number]
        assert isinstance(node, Position)
        tables = [
            table.detach().cpu()[: -(-count // node.clock), features]
            for table, count in zip((node.rows, node.columns), self.size, strict=True)
        ]
        words = [code("kind", "position"), *self.places.run(number, features), len(features)]
        yield [*words, *map(self.pool.add, tables)]


EMITTERS: dict[str, Emit] = {
    "input": Instructions._nothing,
    "past": Instructions._nothing,
    "condition": Instructions._condition,
    "flat_condition": Instructions._condition,
    "slice": Instructions._copy,
    "cat": Instructions._copy,
    "norm": Instructions._norm,
    "lookup": Instructions._lookup,
    "attend": Instructions._attend,
    "position": Instructions._position,
}
"""How each primitive is told that is neither a sum nor an elementwise function."""

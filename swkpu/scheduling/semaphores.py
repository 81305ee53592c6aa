"""The semaphores of a schedule, and the tokens that statements inside loops take and give."""

from __future__ import annotations

from xdsl.ir import Operation

from swkpu.scheduling.engines import Engine
from swkpu.scheduling.steps import Tokens, add_tokens


class Semaphores:
    def __init__(self) -> None:
        self.numbers: dict[tuple[object, ...], int] = {}
        self.initial: list[int] = []
        self.tokens: dict[tuple[Operation, Engine], Tokens] = {}

    def number(self, *key: object, initial: int = 0) -> int:
        """The semaphore of a purpose, made when it is first asked for."""
        if key not in self.numbers:
            self.numbers[key] = len(self.initial)
            self.initial.append(initial)
        return self.numbers[key]

    def acquire(self, statement: Operation, engine: Engine, semaphore: int, count: int) -> None:
        add_tokens(self.of(statement, engine).acquire, semaphore, count)

    def release(self, statement: Operation, engine: Engine, semaphore: int, count: int) -> None:
        add_tokens(self.of(statement, engine).release, semaphore, count)

    def of(self, statement: Operation, engine: Engine) -> Tokens:
        return self.tokens.setdefault((statement, engine), Tokens())

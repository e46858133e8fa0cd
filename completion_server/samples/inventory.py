"""A small shop's stock list."""

import json
from dataclasses import dataclass


@dataclass
class Item:
    name: str
    price: float
    quantity: int

    @property
    def value(self) -> float:
        return self.price * self.quantity


class Inventory:
    def __init__(self) -> None:
        self.items: list[Item] = []

    def add(self, item: Item) -> None:
        self.items.append(item)

    def remove(self, item: Item) -> None:
        self.items.remove(item)

    def find(self, name: str) -> Item | None:
        for item in self.items:
            if item.name == name:
                return item
        return None

    def total_value(self) -> float:
        return sum(item.value for item in self.items)

    def save(self, path: str) -> None:
        with open(path, "w") as file:
            json.dump([vars(item) for item in self.items], file)

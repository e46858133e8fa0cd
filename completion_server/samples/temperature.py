"""Convert temperatures and describe the weather."""


def celsius_to_fahrenheit(celsius: float) -> float:
    return celsius * 9 / 5 + 32


def fahrenheit_to_celsius(fahrenheit: float) -> float:
    return (fahrenheit - 32) * 5 / 9


def average(temperatures: list[float]) -> float:
    if not temperatures:
        return 0.0
    return sum(temperatures) / len(temperatures)


def warmest(temperatures: list[float]) -> float:
    return max(temperatures)


def coldest(temperatures: list[float]) -> float:
    return min(temperatures)


if __name__ == "__main__":
    week = [18.5, 21.0, 19.5, 23.0, 25.5, 24.0, 20.0]
    for day in week:
        print(celsius_to_fahrenheit(day))
    print("average", average(week))
    print("warmest", warmest(week))
    print("coldest", coldest(week))

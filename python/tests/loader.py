"""Rows that workers go through: a dataset for the tests beside it."""


def build(rows=20_000, kind="tuple"):
    if kind == "bytes":
        return bytes(rows)
    return [(row, str(row)) for row in range(rows)]


def visit_epoch(rows):
    return sum(1 for row in rows)


def visit_one(rows):
    return rows[0]


def prepare_twice(rows):
    rows.extend(list(rows))


def nothing():
    return None


class Loader:
    @staticmethod
    def make():
        return build(1_000)

    @staticmethod
    def read(rows):
        return visit_epoch(rows)

    @classmethod
    def of_class(cls):
        return cls.make()

    def of_object(self):
        return self.make()

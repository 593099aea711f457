"""Text in columns of pandas as Arrow has it: one buffer a column, in place of an object for each value."""
import importlib.util
import sys
from _refcow_places import DoesNotApply, Room, is_literal, told


def is_of_pandas(value):
    # Whose data has none of its tables has not imported it either.
    pandas = sys.modules.get("pandas")
    return pandas is not None and type(value) in (pandas.DataFrame, pandas.Series)


def is_text(value):
    return type(value) is str or value is None or type(value) is float and value != value


def replacement(room):
    def of(place):
        pandas, value = sys.modules["pandas"], place.value
        is_table = type(value) is pandas.DataFrame
        if is_table and not value.columns.is_unique:
            raise DoesNotApply("two columns of {} have one name".format(place.name))
        columns = {label: value[label] for label in value.columns if is_literal(label)} if is_table else {None: value}
        columns = {label: column.tolist() for label, column in columns.items() if column.dtype == object}
        texts = [label for label, values in columns.items() if all(map(is_text, values))]
        if not texts:
            raise DoesNotApply("no column of {} with the dtype object holds text alone".format(place.name) if columns else "")
        if importlib.util.find_spec("pyarrow") is None:
            raise DoesNotApply("{} has text that Arrow could hold, and pyarrow is not installed for this Python".format(place.name))
        room.take(sum(8 + len(one or "") for label in texts for one in columns[label] if type(one) is str))
        # That of pandas 3 does with what is missing as columns of objects do.
        kind = "str" if int(pandas.__version__.split(".")[0]) >= 3 else "string[pyarrow]"
        place.parts = ["{}[{!r}]".format(place.name, label) for label in texts] if is_table else []
        kinds = dict.fromkeys(texts, kind) if is_table else kind
        return ["{0} = {0}.astype({1!r})".format(place.name, kinds)], "Arrow's text"

    return of


def code(data, most):
    """Each column of text as Arrow's, if that does not take more than so many bytes."""
    return told(data, replacement(Room(most)), SOURCE, otherwise="", wanted=is_of_pandas)

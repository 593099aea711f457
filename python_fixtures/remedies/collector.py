"""What the collector can be told before a fork. None of these looks at the data."""
import gc


def collect(data):
    """What is due is done in the parent, once, and not in each child."""
    gc.collect()
    return data


def disable(data):
    """No collection begins by itself, in the children neither."""
    gc.disable()
    return data


def freeze(data):
    """No later collection looks at what there is now.

    Without a collection before, as the documentation of gc.freeze advises: what that would free leaves holes in the
    parent's pages, which children then fill, page by page. (`gc.collect` stands in the table for whoever wants to know.)
    """
    gc.freeze()
    return data

"""What the parent can do after it has built the data and before it forks.

`data` is what `build` returned. Neither of these looks at it: they change
the collector for the whole process, and children inherit that.
"""
import gc


def prepare_freeze(data):
    """Runs gc.freeze(): no later collection looks at what exists now.

    Without a collection before, as the documentation of gc.freeze advises:
    what that would free leaves holes in the parent's pages, which children
    then fill, page by page. The collector stays enabled.
    """
    gc.freeze()


def prepare_disable(data):
    """Runs gc.disable(): no collection begins by itself.

    A call of gc.collect() still does.
    """
    gc.disable()

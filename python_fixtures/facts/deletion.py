"""Who deletes an object whose count has come to zero, and when."""
import gc
import weakref

OBJECTS = 1000


class Plain:
    """An ordinary object that the collector tracks."""


def observe():
    """Counts deletions with the collector disabled, and what it finds when
    it is asked to run.
    """
    collections = []
    deleted = []

    def collected(phase, info):
        if phase == "start":
            collections.append(info["generation"])

    gc.callbacks.append(collected)
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        del collections[:]
        things = [Plain() for _ in range(OBJECTS)]
        watches = [weakref.ref(thing, deleted.append) for thing in things]
        before_zero = len(deleted)
        at_once = 0
        while things:
            seen = len(deleted)
            # The last reference goes, and the callback runs before the next line, or not.
            things.pop()
            at_once += len(deleted) - seen
        by_count = len(deleted)

        del deleted[:]
        for _ in range(OBJECTS):
            thing = Plain()
            thing.itself = thing
            watches.append(weakref.ref(thing, deleted.append))
        del thing
        cycles_by_count = len(deleted)
        collections_so_far = len(collections)
        gc.collect()
        cycles_by_collector = len(deleted) - cycles_by_count
        return {
            "objects": OBJECTS,
            "deleted_before_zero": before_zero,
            "deleted_at_zero": by_count,
            "deleted_at_once": at_once,
            "collections": collections_so_far,
            "cycles": OBJECTS,
            "cycles_deleted_without_collector": cycles_by_count,
            "cycles_deleted_by_collector": cycles_by_collector,
        }
    finally:
        gc.callbacks.remove(collected)
        if was_enabled:
            gc.enable()

"""What `multiprocessing.shared_memory.SharedMemory` can be told."""
import inspect
from multiprocessing import shared_memory


def observe():
    """Its parameters, and whether `track` is one of them: to attach to a
    block without making its removal one's own business.
    """
    parameters = list(inspect.signature(shared_memory.SharedMemory).parameters)
    return {"parameters": ", ".join(parameters), "track": "track" in parameters}

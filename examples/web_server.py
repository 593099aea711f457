"""A web server's warm caches, under the requests that a forked worker answers.

The situation: a preforking server (Gunicorn with `preload_app`, uWSGI) imports
the application and warms its caches, and then forks workers, so that all of them
have the caches in common: a dict of products, pages under `functools.lru_cache`,
compiled patterns of the routes. Every request is a hit, nothing is added, and
yet each worker ends up with a copy of the caches of its own.

What refcow says: a request takes a reference to the product and one to the page,
which are written into both. And a hit in an `lru_cache` moves its entry to the
end of a linked list: that writes to it and to its neighbours, which nobody asked
for. Patterns get references, too, but a few patterns are on a few pages.

    refcow measure examples/web_server.py --lines

What to change: an `lru_cache` without a limit keeps no order. With
`--set maxsize=None` the type `functools._lru_list_elem` is gone from what refcow
names; products and pages stay. `visit_known` asks for each request whether there
is such a product, and takes none: hardly a page is copied.
"""
import random
import re
from functools import lru_cache
from typing import Optional

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head><title>{name}</title><link rel="stylesheet" href="/static/shop.css"></head>
<body><h1>{name}</h1><p><a href="/basket?add={key}">Into the basket</a></p></body>
</html>
"""


class Server:
    def __init__(self, products, maxsize):
        self.routes = [
            re.compile(f"/{kind}/(?P<key>[a-z0-9-]+)")
            for kind in ("about", "brand", "category", "help", "product")
        ]
        self.products = products
        self.page = lru_cache(maxsize)(self.render)

    def render(self, key):
        return TEMPLATE.format(key=key, name=self.products[key]["name"])

    def key(self, url):
        for route in self.routes:
            match = route.fullmatch(url)
            if match:
                return match["key"]
        raise LookupError(url)

    def answer(self, url):
        key = self.key(url)
        product = self.products[key]
        page = self.page(key)
        return page if product["stock"] else "Sold out."


def build(products: int = 200_000, maxsize: Optional[int] = 1_000_000):
    server = Server(
        {
            f"p-{number}": {"name": f"Product {number}", "stock": number % 100}
            for number in range(products)
        },
        maxsize,
    )
    for key in server.products:
        server.page(key)
    return server


def requests(server):
    """Requests for random products, half as many as there are."""
    products = len(server.products)
    numbers = random.Random(0)
    for _ in range(products // 2):
        yield f"/product/p-{numbers.randrange(products)}"


def visit_requests(server):
    """Answers requests for random products, half as many as there are."""
    for url in requests(server):
        server.answer(url)


def visit_known(server):
    """Asks of the same requests whether there is such a product."""
    for url in requests(server):
        assert server.key(url) in server.products

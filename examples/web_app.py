"""A web application whose products all workers have from their parent, for a server that forks.

    refcow run --for 20s --lines -- gunicorn --preload -w 4 --pythonpath examples web_app:app

`load.py` sends it requests.
"""
import random


class Product:
    def __init__(self, number):
        self.number = number
        self.name = f"Product {number}"


PRODUCTS = [Product(number) for number in range(50_000)]


def cheapest():
    """Looks at some of the products."""
    return min(product.number for product in random.sample(PRODUCTS, 1_000))


def app(environ, start_response):
    body = b"%d\n" % cheapest()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

"""A web application whose products all workers have from their parent, for a server that forks.

    refcow run --for 20s --lines -- gunicorn --preload -w 4 --pythonpath examples web_app:app

`load.py` sends it requests.
"""
import random


class Product:
    def __init__(self, number):
        self.name = f"Product {number}"
        self.price = 1_000 + number


PRODUCTS = [Product(number) for number in range(200_000)]


def basket():
    """What ten products cost, each time others."""
    total = 0
    for _ in range(10):
        product = PRODUCTS[int(random.random() * len(PRODUCTS))]
        total += product.price
    return total


def app(environ, start_response):
    body = b"%d\n" % basket()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

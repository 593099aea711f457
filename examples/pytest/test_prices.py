def test_workers_share_the_prices(refcow):
    run = refcow.measure("prices.py:total")
    assert run.copied < refcow.MiB(1) and run.new < refcow.MiB(1)

# Which pips this interpreter has: its own module, and the wheel that ensurepip would install. One line of JSON behind a
# mark.
import glob
import json
import os
import sys
import sysconfig

module = None
try:
    import pip

    module = pip.__version__
except Exception:  # a broken pip is none
    pass

bundled = None
try:
    import ensurepip

    folders = [
        os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"),
        # A distribution keeps the wheels apart from ensurepip.
        sysconfig.get_config_var("WHEEL_PKG_DIR"),
    ]
    # Debian's ensurepip names its folder only in its code. The wheels there are for Debian's own Python alone.
    if sys.base_prefix == "/usr":
        folders.append("/usr/share/python-wheels")
    for folder in folders:
        wheels = glob.glob(os.path.join(folder, "pip-*.whl")) if folder else []
        if wheels:
            wheel = sorted(wheels)[-1]
            bundled = [os.path.basename(wheel).split("-")[1], wheel]
            break
except ImportError:
    pass

sys.stdout.write("\nrefcow-pip:" + json.dumps({"module": module, "bundled": bundled}) + "\n")

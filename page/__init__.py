"""The parts of the page that `app.py` puts together.

`layout.py` says what is where, `requests.py` checks and converts what comes in and goes out, `steps.py`
runs one separation and tells how far it is.
"""

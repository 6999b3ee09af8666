"""Videos and results in stores: `s3://`, `https://` and what else fsspec reaches. Local paths never come here.

`urls.py` says what a URL is, `stores.py` reaches its store, `listing.py` finds the videos in it, and `ranges.py` reads
one of them by ranges of bytes. Only `stores.py` imports fsspec, and only once there is a URL.
"""

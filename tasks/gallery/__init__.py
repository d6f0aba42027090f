"""The gallery: a contact sheet of everything an OUT holds, as files a browser opens without a server.

After the manifest: it is made from `manifest.parquet` and `attempts.parquet` alone.
"""

"""ltrec's stream with its defaults: data of up to 64 MiB are kept in memory, and those that the lanes' buffers would hold."""

from stream_ltrec import main

if __name__ == "__main__":
    main()

"""ltrec's stream as it is by default: data of up to 64 MiB are kept in memory."""

from stream_ltrec import main

from ltrec.data.stream.config import StreamConfig

if __name__ == "__main__":
    main(StreamConfig().resident_mib)

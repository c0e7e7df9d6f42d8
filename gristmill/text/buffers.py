"""Arrow text columns as the two plain arrays that kernels walk.

In: a string column (string, large_string, string_view, dictionary; chunked, sliced, with nulls).
Out: its UTF-8 bytes (no copy where Arrow holds them in one piece) and n+1 int64 offsets into them.
Shown by: `python -m gristmill.text.buffers`.
Limit: a column of several chunks is joined first, which copies it once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.errors import GristmillError


def string_buffers(
    array: pa.Array | pa.ChunkedArray,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Data bytes and int64 offsets [n+1]: text i is `data[offsets[i]:offsets[i + 1]]`.

    Both arrays are read-only, so that numba compiles a kernel for one kind of array alone.
    A null counts as empty text. The offsets of a sliced array need not start at 0, and the data
    may hold bytes outside of them. Raises GristmillError for a column that is not text.
    """
    array = _one_string_array(array)
    _, offset_buffer, data_buffer = array.buffers()
    data, offsets = np.zeros(0, np.uint8), np.zeros(len(array) + 1, np.int64)
    if len(array) and offset_buffer is not None:
        dtype = np.int64 if pa.types.is_large_string(array.type) else np.int32
        raw = np.frombuffer(offset_buffer, dtype)[array.offset : array.offset + len(array) + 1]
        # int32 offsets are widened so that kernels have one type and cannot overflow
        offsets = raw.astype(np.int64, copy=False).view()
        if data_buffer is not None:
            data = np.frombuffer(data_buffer, np.uint8).view()
    data.flags.writeable = False
    offsets.flags.writeable = False
    return data, offsets


def _one_string_array(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One contiguous string or large_string array in which every null has length 0."""
    kind = array.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        views = pa.types.is_string_view(kind) or pa.types.is_null(kind)
        coded = pa.types.is_dictionary(kind) and (
            pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
        )
        if not (views or coded):
            raise GristmillError(
                f"a column of type {kind} is not text; kernels read string columns; "
                "cast it to string, or name the column that holds the text"
            )
        array = array.cast(pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        if array.num_chunks == 1:
            array = array.chunk(0)
        else:  # 64-bit offsets: the chunks together may pass 2 GB
            array = pa.concat_arrays(
                [pa.array([], pa.large_string()), *array.cast(pa.large_string()).chunks]
            )
    # a null slot may cover bytes; filling costs a copy, so only where there are nulls
    return pc.fill_null(array, "") if array.null_count else array


if __name__ == "__main__":
    data, offsets = string_buffers(pa.array(["grist", None, "Mühle"]))
    print(data.tobytes(), offsets.tolist())

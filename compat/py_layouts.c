/* SPDX-License-Identifier: MIT
 * All that differs by CPython version, a row each: who walks its frames, and offsets from the version's headers, the same on all
 * LP64 targets but for what a mutex takes. Debug builds have the same. tests/layout compiles a probe against the headers that it finds and compares every field, and holds
 * the rows against what the headers of every released build gave (tests/layout/releases.txt). The task's fields are in
 * no header: _asyncio's section .AsyncioDebug has them. */
#include "compat/py.h"

#include "compat/cpu.h"

/* Up to 3.11 two of the GIL's lie before these in _PyRuntimeState. */
#define MUTEXES (2 * (SP_CPU_MUTEX_BYTES - SP_PY_MUTEX_BYTES))

/* clang-format off */
const struct sp_py_layout sp_py_layouts[] = {
    {
        .minor = 9, .ops = &sp_py_ops_39,
        .ob_type = 8, .ob_size = 16, .tp_dealloc = 48,
        .uni_length = 16, .uni_state = 32, .uni_ascii = 48, .uni_compact = 72, .bytes_data = 32, .uni_kind_bit = 2,
        .ts_interp = 16, .ts_frame = 24, .ts_thread_id = 176,
        .fr_previous = 24, .fr_code = 32, .fr_instr = 104, .fr_locals = 360,
        .co_filename = 104, .co_name = 112, .co_first_line = 40, .co_flags = 36, .co_lines = 120, .co_code = 48,
        .lines = SP_PY_LINES_LNOTAB_39,
        .rt_tstate_current = 568 + MUTEXES, .rt_tss_key = 584 + MUTEXES, .rt_interp_head = 32, .rt_interp_main = 40,
        .rt_finalizing = 16, .interp_next = 0, .interp_id = 24, .interp_builtins = 880,
    },
    {
        .minor = 10, .ops = &sp_py_ops_39, .ts_cframe = 48,
        .ob_type = 8, .ob_size = 16, .tp_dealloc = 48,
        .uni_length = 16, .uni_state = 32, .uni_ascii = 48, .uni_compact = 72, .bytes_data = 32, .uni_kind_bit = 2,
        .ts_interp = 16, .ts_frame = 24, .ts_thread_id = 176,
        .fr_previous = 24, .fr_code = 32, .fr_instr = 96, .fr_locals = 352,
        .co_filename = 104, .co_name = 112, .co_first_line = 40, .co_flags = 36, .co_lines = 120, .co_code = 48,
        .lines = SP_PY_LINES_LINETABLE_310,
        .rt_tstate_current = 568 + MUTEXES, .rt_tss_key = 584 + MUTEXES, .rt_interp_head = 32, .rt_interp_main = 40,
        .rt_finalizing = 16, .interp_next = 0, .interp_id = 24, .interp_builtins = 880,
    },
    {
        .minor = 11, .ops = &sp_py_ops_311,
        .ob_type = 8, .ob_size = 16, .tp_dealloc = 48,
        .uni_length = 16, .uni_state = 32, .uni_ascii = 48, .uni_compact = 72, .bytes_data = 32, .uni_kind_bit = 2,
        .ts_interp = 16, .ts_frame = 56, .ts_root_cframe = 336, .ts_thread_id = 152, .ts_chunk = 296,
        .cframe_frame = 8,
        .fr_previous = 48, .fr_code = 32, .fr_instr = 56, .fr_owner = 69, .fr_is_entry = 68, .fr_locals = 72,
        .fr_bytes = 80,
        .co_filename = 112, .co_name = 128, .co_first_line = 72, .co_flags = 48, .co_lines = 136, .co_code = 184,
        .co_locals = 76, .co_stack = 68,
        .lines = SP_PY_LINES_LOCATIONS_311,
        .rt_tstate_current = 576 + MUTEXES, .rt_tss_key = 592 + MUTEXES, .rt_interp_head = 40, .rt_interp_main = 48,
        .rt_finalizing = 24, .interp_next = 0, .interp_id = 48, .interp_builtins = 912,
    },
    {
        .minor = 12, .ops = &sp_py_ops_312,
        .ob_type = 8, .ob_size = 16, .tp_dealloc = 48,
        .uni_length = 16, .uni_state = 32, .uni_ascii = 40, .uni_compact = 56, .bytes_data = 32, .uni_kind_bit = 2,
        .ts_interp = 16, .ts_frame = 56, .ts_root_cframe = 272, .ts_thread_id = 136, .ts_chunk = 232,
        .cframe_frame = 0,
        .fr_previous = 8, .fr_code = 0, .fr_instr = 56, .fr_owner = 70, .fr_locals = 72, .fr_bytes = 80,
        .co_filename = 112, .co_name = 128, .co_first_line = 68, .co_flags = 48, .co_lines = 136, .co_code = 192,
        .co_frame_words = 76,
        .lines = SP_PY_LINES_LOCATIONS_311,
        .interp_gil = 384, .gil_last_holder = 8, .gil_locked = 16,
        .rt_tss_key = 1544, .rt_interp_head = 40, .rt_interp_main = 48, .rt_finalizing = 24, .interp_next = 0, .interp_id = 8, .interp_ending = 44,
        .interp_builtins = 360,
    },
    {
        .minor = 13, .ops = &sp_py_ops_313,
        .ob_type = 8, .ob_size = 16, .tp_dealloc = 48,
        .uni_length = 16, .uni_state = 32, .uni_ascii = 40, .uni_compact = 56, .bytes_data = 32, .uni_kind_bit = 2,
        .ts_interp = 16, .ts_frame = 72, .ts_thread_id = 152, .ts_chunk = 232,
        .fr_previous = 8, .fr_code = 0, .fr_instr = 56, .fr_owner = 70, .fr_locals = 72, .fr_bytes = 80,
        .co_filename = 112, .co_name = 128, .co_first_line = 68, .co_flags = 48, .co_lines = 136, .co_code = 200,
        .co_frame_words = 76,
        .lines = SP_PY_LINES_LOCATIONS_311,
        .interp_gil = 16, .gil_last_holder = 8, .gil_locked = 16,
        .rt_tss_key = 2160, .rt_interp_head = 632, .rt_interp_main = 640, .rt_finalizing = 608,
        .interp_next = 7264, .interp_id = 7272, .interp_ending = 7320,
        .debug = {
            .finalizing = 4, .interp_head = 5, .interp_next = 8, .ts_interp = 22, .ts_frame = 23,
            .ts_thread_id = 24, .ts_chunk = 26, .fr_previous = 29, .fr_code = 30, .fr_instr = 31,
            .fr_locals = 32, .fr_owner = 33, .co_filename = 35, .co_name = 37, .co_lines = 38,
            .co_first_line = 39, .co_code = 43, .ob_type = 45, .builtins = 13,
        },
    },
    {
        .minor = 13, .free_threaded = true, .ops = &sp_py_ops_313,
        .ob_type = 24, .ob_size = 32, .tp_dealloc = 64,
        .uni_length = 32, .uni_state = 48, .uni_ascii = 56, .uni_compact = 72, .bytes_data = 48, .uni_kind_bit = 2,
        .ts_interp = 16, .ts_frame = 72, .ts_thread_id = 152, .ts_chunk = 232,
        .fr_previous = 8, .fr_code = 0, .fr_instr = 56, .fr_owner = 70, .fr_locals = 72, .fr_bytes = 80,
        .co_filename = 128, .co_name = 144, .co_first_line = 84, .co_flags = 64, .co_lines = 152, .co_code = 216,
        .co_frame_words = 92,
        .lines = SP_PY_LINES_LOCATIONS_311,
        .interp_gil = 16, .gil_last_holder = 16, .gil_locked = 24,
        .rt_tss_key = 2160, .rt_interp_head = 632, .rt_interp_main = 640, .rt_finalizing = 608,
        .interp_next = 7264, .interp_id = 7272, .interp_ending = 7320,
        .debug = {
            .finalizing = 4, .interp_head = 5, .interp_next = 8, .ts_interp = 22, .ts_frame = 23,
            .ts_thread_id = 24, .ts_chunk = 26, .fr_previous = 29, .fr_code = 30, .fr_instr = 31,
            .fr_locals = 32, .fr_owner = 33, .co_filename = 35, .co_name = 37, .co_lines = 38,
            .co_first_line = 39, .co_code = 43, .ob_type = 45, .builtins = 13,
        },
    },
    {
        .minor = 14, .ops = &sp_py_ops_314,
        .ob_type = 8, .ob_size = 16, .tp_dealloc = 48,
        .uni_length = 16, .uni_state = 32, .uni_ascii = 40, .uni_compact = 56, .bytes_data = 32, .uni_kind_bit = 2,
        .ts_interp = 16, .ts_frame = 72, .ts_thread_id = 152, .ts_chunk = 232,
        .fr_previous = 8, .fr_code = 0, .fr_instr = 56, .fr_owner = 74, .fr_locals = 80, .fr_bytes = 88,
        .co_filename = 112, .co_name = 128, .co_first_line = 68, .co_flags = 48, .co_lines = 136, .co_code = 208,
        .co_frame_words = 76,
        .lines = SP_PY_LINES_LOCATIONS_311,
        .interp_gil = 16, .gil_last_holder = 8, .gil_locked = 16,
        .rt_tss_key = 2336, .rt_interp_head = 808, .rt_interp_main = 816, .rt_finalizing = 784,
        .interp_next = 7272, .interp_id = 7280, .interp_ending = 7320,
        .ts_task = 872, .task_bytes = 168, .task_name = 136,
        .debug = {
            .finalizing = 4, .interp_head = 5, .interp_next = 8, .ts_interp = 25, .ts_frame = 26,
            .ts_thread_id = 27, .ts_chunk = 29, .fr_previous = 32, .fr_code = 33, .fr_instr = 34,
            .fr_locals = 35, .fr_owner = 36, .co_filename = 40, .co_name = 42, .co_lines = 43,
            .co_first_line = 44, .co_code = 48, .ob_type = 51, .builtins = 14, .fr_tlbc = 38, .co_tlbc = 49,
        },
    },
    {
        .minor = 14, .free_threaded = true, .ops = &sp_py_ops_314,
        .ob_type = 24, .ob_size = 32, .tp_dealloc = 64,
        .uni_length = 32, .uni_state = 48, .uni_ascii = 56, .uni_compact = 72, .bytes_data = 48, .uni_kind_bit = 8,
        .ts_interp = 16, .ts_frame = 72, .ts_thread_id = 152, .ts_chunk = 232,
        .fr_previous = 8, .fr_code = 0, .fr_instr = 56, .fr_owner = 78, .fr_locals = 80, .fr_bytes = 88, .fr_tlbc = 72,
        .co_filename = 128, .co_name = 144, .co_first_line = 84, .co_flags = 64, .co_lines = 152, .co_code = 232,
        .co_frame_words = 92, .co_tlbc = 224,
        .lines = SP_PY_LINES_LOCATIONS_311,
        .interp_gil = 16, .gil_last_holder = 16, .gil_locked = 24,
        .rt_tss_key = 2336, .rt_interp_head = 808, .rt_interp_main = 816, .rt_finalizing = 784,
        .interp_next = 7272, .interp_id = 7280, .interp_ending = 7320,
        .debug = {
            .finalizing = 4, .interp_head = 5, .interp_next = 8, .ts_interp = 25, .ts_frame = 26,
            .ts_thread_id = 27, .ts_chunk = 29, .fr_previous = 32, .fr_code = 33, .fr_instr = 34,
            .fr_locals = 35, .fr_owner = 36, .co_filename = 40, .co_name = 42, .co_lines = 43,
            .co_first_line = 44, .co_code = 48, .ob_type = 51, .builtins = 14, .fr_tlbc = 38, .co_tlbc = 49,
        },
    },
    {
        .minor = 15, .ops = &sp_py_ops_314,
        .ob_type = 8, .ob_size = 16, .tp_dealloc = 48,
        .uni_length = 16, .uni_state = 32, .uni_ascii = 40, .uni_compact = 56, .bytes_data = 32, .uni_kind_bit = 2,
        .ts_interp = 16, .ts_frame = 72, .ts_thread_id = 176, .ts_chunk = 256,
        .fr_previous = 8, .fr_code = 0, .fr_instr = 56, .fr_owner = 74, .fr_locals = 80, .fr_bytes = 88,
        .co_filename = 112, .co_name = 128, .co_first_line = 68, .co_flags = 48, .co_lines = 136, .co_code = 208,
        .co_frame_words = 76,
        .lines = SP_PY_LINES_LOCATIONS_311,
        .interp_gil = 16, .gil_last_holder = 8, .gil_locked = 16,
        .rt_interp_head = 936, .rt_interp_main = 944, .rt_finalizing = 912, .interp_next = 7264, .interp_id = 7272, .interp_ending = 7312,
        .ts_task = 1032, .task_bytes = 168, .task_name = 136,
        .debug = {
            .finalizing = 4, .interp_head = 5, .interp_next = 8, .ts_interp = 25, .ts_frame = 26,
            .ts_thread_id = 30, .ts_chunk = 32, .fr_previous = 40, .fr_code = 41, .fr_instr = 42,
            .fr_locals = 43, .fr_owner = 44, .co_filename = 48, .co_name = 50, .co_lines = 51,
            .co_first_line = 52, .co_code = 56, .ob_type = 59, .builtins = 14, .fr_tlbc = 46, .co_tlbc = 57,
        },
    },
    {
        .minor = 15, .free_threaded = true, .ops = &sp_py_ops_314,
        .ob_type = 24, .ob_size = 32, .tp_dealloc = 64,
        .uni_length = 32, .uni_state = 48, .uni_ascii = 56, .uni_compact = 72, .bytes_data = 48, .uni_kind_bit = 8,
        .ts_interp = 16, .ts_frame = 72, .ts_thread_id = 176, .ts_chunk = 256,
        .fr_previous = 8, .fr_code = 0, .fr_instr = 56, .fr_owner = 78, .fr_locals = 80, .fr_bytes = 88, .fr_tlbc = 72,
        .co_filename = 128, .co_name = 144, .co_first_line = 84, .co_flags = 64, .co_lines = 152, .co_code = 232,
        .co_frame_words = 92, .co_tlbc = 224,
        .lines = SP_PY_LINES_LOCATIONS_311,
        .interp_gil = 16, .gil_last_holder = 16, .gil_locked = 24,
        .rt_interp_head = 936, .rt_interp_main = 944, .rt_finalizing = 912, .interp_next = 7264, .interp_id = 7272, .interp_ending = 7312,
        .debug = {
            .finalizing = 4, .interp_head = 5, .interp_next = 8, .ts_interp = 25, .ts_frame = 26,
            .ts_thread_id = 30, .ts_chunk = 32, .fr_previous = 40, .fr_code = 41, .fr_instr = 42,
            .fr_locals = 43, .fr_owner = 44, .co_filename = 48, .co_name = 50, .co_lines = 51,
            .co_first_line = 52, .co_code = 56, .ob_type = 59, .builtins = 14, .fr_tlbc = 46, .co_tlbc = 57,
        },
    },
};
/* clang-format on */

const uint32_t sp_py_n_layouts = SP_ARRAY_LEN(sp_py_layouts);

const struct sp_py_layout *sp_py_layout_for(uint32_t minor, bool free_threaded)
{
    for (uint32_t i = 0; i < sp_py_n_layouts; i++)
        if (sp_py_layouts[i].minor == minor && sp_py_layouts[i].free_threaded == free_threaded)
            return &sp_py_layouts[i];
    return NULL;
}

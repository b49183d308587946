/* SPDX-License-Identifier: MIT
 * Prints the layout table: MINOR FREE_THREADED FIELD VALUE. Fields of `debug` are called debug.FIELD. */
#include <stdio.h>

#include "compat/py.h"

#define WORD(field) printf("%u %d debug." #field " %u\n", l->minor, l->free_threaded, (unsigned)l->debug.field)
#define ROW(field) printf("%u %d " #field " %u\n", l->minor, l->free_threaded, (unsigned)l->field)

int main(void)
{
    for (uint32_t i = 0; i < sp_py_n_layouts; i++) {
        const struct sp_py_layout *l = &sp_py_layouts[i];
        ROW(ob_type), ROW(ob_size), ROW(tp_dealloc), ROW(uni_length), ROW(uni_state), ROW(uni_ascii), ROW(uni_compact);
        ROW(bytes_data), ROW(ts_interp), ROW(ts_frame), ROW(ts_root_cframe), ROW(ts_thread_id), ROW(ts_chunk);
        ROW(cframe_frame), ROW(ts_cframe), ROW(fr_previous), ROW(fr_code), ROW(fr_instr), ROW(fr_owner), ROW(fr_is_entry),
            ROW(fr_locals);
        ROW(fr_bytes), ROW(co_filename), ROW(co_name), ROW(co_first_line), ROW(co_flags), ROW(co_lines), ROW(co_code);
        ROW(co_locals), ROW(co_stack), ROW(co_frame_words), ROW(rt_tstate_current), ROW(rt_tss_key), ROW(rt_interp_head);
        ROW(rt_interp_main), ROW(rt_finalizing), ROW(interp_next), ROW(interp_id), ROW(interp_ending), ROW(interp_builtins);
        ROW(uni_kind_bit), ROW(fr_tlbc), ROW(co_tlbc), ROW(ts_task), ROW(task_bytes), ROW(task_name);
        ROW(interp_gil), ROW(gil_last_holder), ROW(gil_locked);
        WORD(finalizing), WORD(interp_head), WORD(interp_next), WORD(ts_interp), WORD(ts_frame), WORD(ts_thread_id);
        WORD(ts_chunk), WORD(fr_previous), WORD(fr_code), WORD(fr_instr), WORD(fr_locals), WORD(fr_owner), WORD(fr_tlbc);
        WORD(co_filename), WORD(co_name), WORD(co_lines), WORD(co_first_line), WORD(co_code), WORD(co_tlbc), WORD(ob_type);
    }
    return 0;
}

/*
 * What libasync_capi has beside OpenSSL's functions.
 *
 * Made from the Rust sources of async-capi by cbindgen: change those, not this file.
 */

#ifndef ASYNC_CAPI_H
#define ASYNC_CAPI_H

#include <openssl/async.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * The text of the calling thread's last error: what happened, and what to do. NULL if there was none. Good until
 * the thread's next error.
 */
const char *async_capi_last_error(void);

/**
 * The version of this library.
 */
const char *async_capi_version(void);

/**
 * Cancels a paused job: resumes it, and from now on each of its ASYNC_pause_job returns 0 at once, so that it
 * runs to its end before this returns. ASYNC_FINISH, with what its function returned in *ret and NULL in
 * *job; or ASYNC_ERR with an error, as ASYNC_start_job.
 */
int async_capi_cancel_job(ASYNC_JOB **job,
                          int *ret);

/**
 * Sets the size of the stacks, in bytes, for the whole process: 8 KiB to 1 GiB. Of no meaning with stacks of
 * ASYNC_set_mem_functions. 1, or 0 once a stack was made, or if it is out of these bounds.
 */
int async_capi_set_stack_bytes(size_t bytes);

/**
 * From now on a job that overflows its stack says so before the process ends, on stderr. It installs a handler
 * for SIGSEGV and SIGBUS, which passes on what is not its own. 1, or 0 if the system refuses.
 */
int async_capi_report_stack_overflow(void);

/**
 * Turns the check mode on, or off if on is 0: as ASYNC_CAPI_CHECK=1 does before the first job, at any time.
 * What was done while it was off is not known to it, and what it knew is forgotten when it is turned off. See
 * docs/check-mode.md.
 */
void async_capi_set_check(int on);

/**
 * How many jobs of this process were paused when their thread ended: they stay for ever, with all that is on
 * their stacks.
 */
unsigned long async_capi_leaked_jobs(void);

/**
 * How many jobs can never be resumed, because their wait context was freed under them.
 */
unsigned long async_capi_abandoned_jobs(void);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#endif  /* ASYNC_CAPI_H */

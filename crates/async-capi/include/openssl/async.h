/*
 * OpenSSL's asynchronous jobs: see ASYNC_start_job(3) and ASYNC_WAIT_CTX_new(3). For programs that are built
 * without OpenSSL's own headers; where both are in reach, the first that is found stands for both.
 *
 * Made from the Rust sources of async-capi by cbindgen: change those, not this file.
 */

#ifndef OPENSSL_ASYNC_H
#define OPENSSL_ASYNC_H

#include <stddef.h>

/** A file descriptor to wait on. */
#define OSSL_ASYNC_FD int
/** None. */
#define OSSL_BAD_ASYNC_FD -1

/**
 * The start, or the resume, failed: see OpenSSL's error queue, or async_capi_last_error().
 */
#define ASYNC_ERR 0

/**
 * No job is free in this thread's pool. Nothing is queued; try again when one has finished.
 */
#define ASYNC_NO_JOBS 1

/**
 * The job has paused. Its handle is in *job: start it again to resume it.
 */
#define ASYNC_PAUSE 2

/**
 * The job has finished: *ret is what its function returned, *job is NULL.
 */
#define ASYNC_FINISH 3

/**
 * The engine does not use the callback. The status of a new context.
 */
#define ASYNC_STATUS_UNSUPPORTED 0

/**
 * The operation failed.
 */
#define ASYNC_STATUS_ERR 1

/**
 * The operation was accepted, or is done.
 */
#define ASYNC_STATUS_OK 2

/**
 * The engine was busy: resume the job, and it will submit again.
 */
#define ASYNC_STATUS_EAGAIN 3

/**
 * OpenSSL's reason for an error that this library has no cause for.
 */
#define ASYNC_R_FAILED_TO_SET_POOL 101

/**
 * OpenSSL's reason for an error that this library has no cause for.
 */
#define ASYNC_R_FAILED_TO_SWAP_CONTEXT 102

/**
 * The reason of an error: init_size is above max_size, or more than the machine can hold.
 */
#define ASYNC_R_INVALID_POOL_SIZE 103

/**
 * OpenSSL's reason for an error that this library has no cause for.
 */
#define ASYNC_R_INIT_FAILED 105

/**
 * A job. Only ever handled by pointer, and the pointer is a handle: a place in a table and the number of its
 * use, never followed. So one that is kept for too long is recognised.
 */
struct async_job_st;

/**
 * A wait context: where the code in a job says what it waits for, and its caller reads it. Only ever handled by
 * pointer, which is a handle like a job's.
 */
struct async_wait_ctx_st;

/**
 * The name that programs use.
 */
typedef struct async_job_st ASYNC_JOB;

/**
 * The name that programs use.
 */
typedef struct async_wait_ctx_st ASYNC_WAIT_CTX;

/**
 * Gives a stack of about *num bytes, and writes its true size back. NULL if there is none.
 */
typedef void *(*ASYNC_stack_alloc_fn)(size_t *num);

/**
 * Takes a stack back.
 */
typedef void (*ASYNC_stack_free_fn)(void *addr);

/**
 * What an application has called when its job can be resumed. From any thread; it must be short, and
 * must not resume the job. OpenSSL ignores what it returns, and so do we.
 */
typedef int (*ASYNC_callback_fn)(void *arg);

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * 1: jobs work wherever this library compiles.
 */
int ASYNC_is_capable(void);

/**
 * Sets up this thread's pool: at most max_size jobs, in use and idle together, 0 for no bound; init_size
 * of them made at once. A second call sets it up anew. 1, or 0 with an error.
 */
int ASYNC_init_thread(size_t max_size,
                      size_t init_size);

/**
 * Frees this thread's idle jobs and forgets its settings. Paused jobs stay whole, and are freed as they
 * finish.
 */
void ASYNC_cleanup_thread(void);

/**
 * Starts a job if *job is NULL, else resumes it; ctx, func, args and size are ignored then.
 * ASYNC_PAUSE: it has paused, its handle is in *job. ASYNC_FINISH: it has finished, what func returned
 * is in *ret, *job is NULL. ASYNC_NO_JOBS: the pool is at its bound. ASYNC_ERR: see the error; nothing
 * has changed.
 *
 * func gets a copy of the size bytes at args, which is there until the job has finished; NULL if args is NULL
 * or size is 0. ctx may be NULL, and is freed after the job has finished. ret may be NULL. A job is resumed on
 * the thread that started it.
 */
int ASYNC_start_job(ASYNC_JOB **job,
                    ASYNC_WAIT_CTX *ctx,
                    int *ret,
                    int (*func)(void *args),
                    void *args,
                    size_t size);

/**
 * Pauses the running job: ASYNC_start_job returns ASYNC_PAUSE to its caller, and this returns 1 when the
 * job is resumed. 1 at once outside a job and where pausing is blocked. 0 with the job still running if it is
 * being cancelled, or its context was freed.
 */
int ASYNC_pause_job(void);

/**
 * The running job; NULL outside.
 */
ASYNC_JOB *ASYNC_get_current_job(void);

/**
 * The context that the job was started with; NULL for none and for a job that has finished. From any thread.
 */
ASYNC_WAIT_CTX *ASYNC_get_wait_ctx(ASYNC_JOB *job);

/**
 * Keeps the running job from pausing until ASYNC_unblock_pause was called as often. Does nothing outside a
 * job. The count is the job's and ends with it.
 */
void ASYNC_block_pause(void);

/**
 * See ASYNC_block_pause. At 0 it stays at 0.
 */
void ASYNC_unblock_pause(void);

/**
 * Sets where stacks come from, for the whole process; NULL leaves one of the two as it is. alloc_fn is asked
 * for 32768 bytes (built-in stacks have 65536), and may give another size by writing it back; less than 8192 is
 * refused. 1, or 0 once a stack was made.
 */
int ASYNC_set_mem_functions(ASYNC_stack_alloc_fn alloc_fn,
                            ASYNC_stack_free_fn free_fn);

/**
 * The functions in force. Either pointer may be NULL.
 */
void ASYNC_get_mem_functions(ASYNC_stack_alloc_fn *alloc_fn, ASYNC_stack_free_fn *free_fn);

/**
 * A context without fds or callback, with status 0. NULL if there is no memory for it.
 */
ASYNC_WAIT_CTX *ASYNC_WAIT_CTX_new(void);

/**
 * Calls the cleanup function of each fd that is still set, newest first, and frees the context. NULL is
 * accepted. A job that has paused under it can never be resumed.
 */
void ASYNC_WAIT_CTX_free(ASYNC_WAIT_CTX *ctx);

/**
 * Adds an fd under key, which may be any address; an older one under the same key is hidden until this one is
 * cleared. cleanup (or NULL) is called if the fd is still set when the context is freed. 1, or 0 with an
 * error; cleanup is not called then.
 */
int ASYNC_WAIT_CTX_set_wait_fd(ASYNC_WAIT_CTX *ctx,
                               const void *key,
                               OSSL_ASYNC_FD fd,
                               void *custom_data,
                               void (*cleanup)(ASYNC_WAIT_CTX *ctx,
                                               const void *key,
                                               OSSL_ASYNC_FD fd,
                                               void *custom_data));

/**
 * The newest fd under key and what was set with it: 1 and both, or 0.
 */
int ASYNC_WAIT_CTX_get_fd(ASYNC_WAIT_CTX *ctx,
                          const void *key,
                          OSSL_ASYNC_FD *fd,
                          void **custom_data);

/**
 * All fds, newest first, and their number, which is only written. fd is NULL, for the number only, or has room for
 * all of them. 1, or 0 with an error.
 */
int ASYNC_WAIT_CTX_get_all_fds(ASYNC_WAIT_CTX *ctx,
                               OSSL_ASYNC_FD *fd,
                               size_t *numfds);

/**
 * What changed since a job of the context was last resumed: fds set and fds cleared, each newest first. Either
 * array is NULL, or has room for all of its own. Reading it changes nothing. 1, or 0 with an error.
 */
int ASYNC_WAIT_CTX_get_changed_fds(ASYNC_WAIT_CTX *ctx,
                                   OSSL_ASYNC_FD *addfd,
                                   size_t *numaddfds,
                                   OSSL_ASYNC_FD *delfd,
                                   size_t *numdelfds);

/**
 * Takes out the newest fd under key. Its cleanup function is not called, now or later: the caller closes it.
 * 1, or 0 if there is none.
 */
int ASYNC_WAIT_CTX_clear_fd(ASYNC_WAIT_CTX *ctx,
                            const void *key);

/**
 * Sets what an engine calls in place of making an fd readable; NULL unsets it. 1, or 0 with an error.
 */
int ASYNC_WAIT_CTX_set_callback(ASYNC_WAIT_CTX *ctx,
                                ASYNC_callback_fn callback,
                                void *callback_arg);

/**
 * The callback and its argument: 1 and both, or 0 if none is set.
 */
int ASYNC_WAIT_CTX_get_callback(ASYNC_WAIT_CTX *ctx,
                                ASYNC_callback_fn *callback,
                                void **callback_arg);

/**
 * Stores a status, any number. 1, or 0 with an error.
 */
int ASYNC_WAIT_CTX_set_status(ASYNC_WAIT_CTX *ctx, int status);

/**
 * The status that was stored last; ASYNC_STATUS_UNSUPPORTED before, or with an error.
 */
int ASYNC_WAIT_CTX_get_status(ASYNC_WAIT_CTX *ctx);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#endif  /* OPENSSL_ASYNC_H */

/*
 * What ASYNC_start_job(3) shows: a job that waits for a byte in a pipe. Prints the manual page's eight lines.
 */
#include <openssl/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <unistd.h>

/* Engines find their fd in a context under a key: any address of their own. */
static const char key;

struct ends {
    int read, write;
};

static void close_both(ASYNC_WAIT_CTX *ctx, const void *under, OSSL_ASYNC_FD fd, void *data)
{
    struct ends *ends = data;

    (void)ctx, (void)under;
    close(fd);
    close(ends->write);
    free(ends);
}

static int job_function(void *args)
{
    ASYNC_JOB *self = ASYNC_get_current_job();
    struct ends *ends = malloc(sizeof *ends);
    int pipe_ends[2];
    char byte = 'w';

    puts(self ? "Executing within a job" : "Not executing within a job");
    printf("Passed in message is: %s\n", (const char *)args);
    if (self == NULL || ends == NULL || pipe(pipe_ends) != 0)
        return 0;
    ends->read = pipe_ends[0];
    ends->write = pipe_ends[1];
    if (!ASYNC_WAIT_CTX_set_wait_fd(ASYNC_get_wait_ctx(self), &key, ends->read, ends, close_both))
        return 0;
    /* A device would do this, later. */
    if (write(ends->write, &byte, 1) != 1)
        return 0;
    ASYNC_pause_job();
    if (read(ends->read, &byte, 1) != 1)
        return 0;
    puts("Resumed the job after a pause");
    return 1;
}

int main(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    char message[] = "Hello world!";
    int state, result, fd;
    size_t count;
    fd_set readable;

    puts("Starting...");
    while ((state = ASYNC_start_job(&job, ctx, &result, job_function, message, sizeof message))
           == ASYNC_PAUSE) {
        puts("Job was paused\nWaiting for the job to be woken up");
        if (!ASYNC_WAIT_CTX_get_all_fds(ctx, NULL, &count) || count != 1)
            abort();
        ASYNC_WAIT_CTX_get_all_fds(ctx, &fd, &count);
        FD_ZERO(&readable);
        FD_SET(fd, &readable);
        if (select(fd + 1, &readable, NULL, NULL, NULL) != 1)
            abort();
    }
    if (state != ASYNC_FINISH)
        abort();
    printf("Job finished with return value %d\n", result);
    ASYNC_WAIT_CTX_free(ctx);
    puts("Finishing");
    return 0;
}

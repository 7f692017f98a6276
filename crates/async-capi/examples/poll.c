/*
 * Several jobs on one thread, a device on another, and poll() between them: what an event loop does.
 *
 *     cc poll.c -lasync_capi -lpthread        or -lcrypto: it is the same program
 */
#include <openssl/async.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define JOBS 2

/* An operation: the job waits for it, the device completes it. */
struct operation {
    int number, fd, answer;
    _Atomic int done;
};

/* The device: answers, then makes the fd readable. */
static void *device(void *arg)
{
    struct operation *op = arg;
    uint64_t one = 1;

    op->answer = 40 + op->number;
    op->done = 1;
    if (write(op->fd, &one, sizeof one) != sizeof one)
        perror("poll: write");
    return NULL;
}

/* An engine finds its fd again under the address of something of its own. */
static const char key;

static void close_fd(ASYNC_WAIT_CTX *ctx, const void *under, OSSL_ASYNC_FD fd, void *data)
{
    (void)ctx, (void)under, (void)data;
    close(fd);
}

/* The job. Its argument is a copy of the caller's, so a number will do. */
static int job(void *args)
{
    struct operation op = { .number = *(int *)args };
    ASYNC_WAIT_CTX *ctx = ASYNC_get_wait_ctx(ASYNC_get_current_job());
    pthread_t thread;
    uint64_t wakes;

    op.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (op.fd < 0)
        return -1;
    if (!ASYNC_WAIT_CTX_set_wait_fd(ctx, &key, op.fd, NULL, close_fd)) {
        close(op.fd);
        return -1;
    }
    if (pthread_create(&thread, NULL, device, &op) != 0)
        return -1;
    /* A resume promises nothing: pause until the answer is there. */
    while (!op.done)
        ASYNC_pause_job();
    pthread_join(thread, NULL);
    while (read(op.fd, &wakes, sizeof wakes) > 0)
        ;
    return op.answer;
}

int main(void)
{
    ASYNC_JOB *jobs[JOBS] = { NULL };
    ASYNC_WAIT_CTX *ctxs[JOBS];
    struct pollfd fds[JOBS];
    int unfinished = JOBS, failed = 0;

    for (int n = 0; n < JOBS; n++) {
        if ((ctxs[n] = ASYNC_WAIT_CTX_new()) == NULL)
            return 1;
        fds[n] = (struct pollfd){ .fd = -1, .events = POLLIN, .revents = POLLIN };
    }
    while (unfinished > 0) {
        for (int n = 0; n < JOBS; n++) {
            int answer;
            size_t count = 0;

            if (!(fds[n].revents & POLLIN))
                continue;
            /* Starts it the first time, resumes it after that. */
            switch (ASYNC_start_job(&jobs[n], ctxs[n], &answer, job, &n, sizeof n)) {
            case ASYNC_PAUSE:
                /* The number is only written: ask for it before there is an array. Here it is 1. */
                ASYNC_WAIT_CTX_get_all_fds(ctxs[n], NULL, &count);
                if (count == 1)
                    ASYNC_WAIT_CTX_get_all_fds(ctxs[n], &fds[n].fd, &count);
                break;
            case ASYNC_FINISH:
                printf("job %d: %d\n", n, answer);
                failed |= answer != 40 + n;
                fds[n].fd = -1; /* poll() passes over it */
                unfinished--;
                break;
            default:
                fprintf(stderr, "poll: job %d was not started\n", n);
                return 1;
            }
        }
        if (unfinished > 0 && poll(fds, JOBS, -1) < 0)
            return 1;
    }
    for (int n = 0; n < JOBS; n++)
        ASYNC_WAIT_CTX_free(ctxs[n]);
    ASYNC_cleanup_thread();
    return failed;
}

/*
 * Jobs in C++: exceptions inside a job, across its pauses, and out of it.
 */
#include "misuse.h"
#include <stdexcept>
#include <string>

static int ret;

struct Guard {
    int &count;
    explicit Guard(int &counted) : count(counted) { ++count; }
    ~Guard() { --count; }
};

static int live;

static void throws_deep_down(int depth)
{
    Guard guard(live);

    if (depth == 0)
        throw std::runtime_error("deep down");
    throws_deep_down(depth - 1);
}

static int catches(void *args)
{
    int caught = 0;

    for (int round = 0; round < 3; round++) {
        try {
            Guard guard(live);

            ASYNC_pause_job(); /* below a try */
            throws_deep_down(5);
        } catch (const std::runtime_error &error) {
            EQ(live, 0);
            CHECK(std::string(error.what()) == "deep down");
            caught++;
        }
        ASYNC_pause_job();
    }
    EQ(caught, 3);
    return *(int *)args;
}

static void caught_inside(void)
{
    ASYNC_JOB *job = nullptr;
    int args = 7, pauses = 0;

    while (ASYNC_start_job(&job, ctx, &ret, catches, &args, sizeof args) == ASYNC_PAUSE) {
        pauses++;
        try {
            throws_deep_down(2); /* the caller's own are another matter */
        } catch (const std::exception &) {
        }
        EQ(live, pauses % 2); /* the job's guard, below its try */
    }
    EQ(pauses, 6);
    EQ(ret, 7);
    everything_works();
}

static int pauses_in_a_handler(void *args)
{
    try {
        throws_deep_down(1);
    } catch (const std::exception &error) {
        ASYNC_pause_job();
        CHECK(std::string(error.what()) == "deep down");
        try {
            throw; /* the same one again */
        } catch (const std::runtime_error &again) {
            EQ(&again, &error);
        }
    }
    return *(int *)args;
}

/* C++ keeps the exceptions that are being handled in a list of the thread's. So a job may pause in a handler as
 * long as nobody else on the thread is in one then. */
static void a_pause_in_a_handler(void)
{
    ASYNC_JOB *job = nullptr;
    int args = 8;

    START(&job, ctx, &ret, pauses_in_a_handler, &args, sizeof args, ASYNC_PAUSE);
    everything_works();
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 8);
    EQ(live, 0);
}

static int lets_one_out(void *args)
{
    ASYNC_pause_job();
    throw std::runtime_error(args == nullptr ? "nobody catches it" : "");
}

/* Ends the process: the caller of ASYNC_start_job must not see it. */
static void one_leaves_its_job(void)
{
    ASYNC_JOB *job = nullptr;

    START(&job, ctx, &ret, lets_one_out, nullptr, 0, ASYNC_PAUSE);
    try {
        ASYNC_start_job(&job, ctx, &ret, nullptr, nullptr, 0);
    } catch (...) {
        failed(__FILE__, __LINE__, "an exception came out of ASYNC_start_job");
    }
    failed(__FILE__, __LINE__, "ASYNC_start_job returned");
}

static void an_exception_that_leaves_its_job(void)
{
    char text[4096] = "";
    int ends[2], status;
    ssize_t length;
    pid_t child;

    EQ(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        close(ends[1]);
        one_leaves_its_job();
    }
    close(ends[1]);
    for (size_t at = 0; (length = read(ends[0], text + at, sizeof text - 1 - at)) > 0;)
        at += (size_t)length;
    EQ(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(text, "foreign exception") == nullptr) {
        fprintf(stderr, "%s\n", text);
        failed(__FILE__, __LINE__, "it does not end by SIGABRT with a message");
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "caught_inside", caught_inside, OURS_ONLY },
        { "a_pause_in_a_handler", a_pause_in_a_handler, OURS_ONLY },
        { "an_exception_that_leaves_its_job", an_exception_that_leaves_its_job, OURS_ONLY },
    };

    return RUN(cases);
}

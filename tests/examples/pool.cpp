// SPDX-License-Identifier: MIT
// A C++ library with threads of its own, for Python. Each page is a span: what it costs is told apart in threads that run no Python.
//
//     c++ -std=c++11 -O2 -g -shared -fPIC pool.cpp -o libpool.so $(pkg-config --cflags spprof) -pthread
//     spprof run --native on -o pool.json python -c 'import ctypes; ctypes.CDLL("./libpool.so").convert_pages(8, 2)'
//     spprof report --by span pool.json
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <time.h>

#include <spprof.h>

namespace {

// As long as it lives its thread is in the span; an exception ends it as well.
class Span {
public:
    explicit Span(const std::string &name) : token_(spprof_span_begin(name.c_str())) {}
    ~Span() { spprof_span_end(token_); }
    Span(const Span &) = delete;
    Span &operator=(const Span &) = delete;

private:
    std::uint64_t token_;
};

std::int64_t cpu_ns()
{
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::int64_t{1000000000} * now.tv_sec + now.tv_nsec;
}

unsigned work_for(std::int64_t ns)
{
    unsigned sum = 0;
    for (std::int64_t end = cpu_ns() + ns; cpu_ns() < end;)
        for (int i = 0; i < 1000; i++)
            sum = sum * 31 + 1;
    return sum;
}

unsigned convert_page(int page)
{
    Span span("page " + std::to_string(page));
    unsigned sum = work_for(50000000);
    Span fonts("fonts");
    return sum + work_for(20000000);
}

} // namespace

extern "C" int convert_pages(int pages, int threads)
{
    std::atomic<int> next(0), done(0);
    std::vector<std::thread> pool;
    for (int i = 0; i < threads; i++)
        pool.emplace_back([&] {
            for (int page; (page = next++) < pages; done++)
                convert_page(page);
        });
    for (std::thread &t : pool)
        t.join();
    return done;
}

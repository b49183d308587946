// SPDX-License-Identifier: MIT
// A shared library of Go, called by tests through ctypes.
package main

import "C"
import (
	"bytes"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// CPU of the process.
func used() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func crunch(ms int) int64 {
	var all sync.WaitGroup
	var done int64
	end := used() + time.Duration(ms)*time.Millisecond
	for g := 0; g < 64; g++ {
		all.Add(1)
		go func(g int) {
			defer all.Done()
			sum := 0
			for r := 0; r >= 0; r++ {
				sum += r ^ g
				if r&0xffff == 0 && used() > end {
					break
				}
			}
			if sum != -1 {
				atomic.AddInt64(&done, 1)
			}
		}(g)
	}
	all.Wait()
	runtime.GC()
	return done
}

// Crunch runs 64 goroutines, each on the small stack that Go gives it, for so much CPU; it answers how many came to their end.
//
//export Crunch
func Crunch(ms C.int) C.longlong {
	return C.longlong(crunch(int(ms)))
}

// Profiled does so under Go's own CPU profiler; it answers the bytes that this wrote.
//
//export Profiled
func Profiled(ms C.int) C.longlong {
	var out bytes.Buffer
	if pprof.StartCPUProfile(&out) != nil {
		return -1
	}
	crunch(int(ms))
	pprof.StopCPUProfile()
	return C.longlong(out.Len())
}

func main() {}

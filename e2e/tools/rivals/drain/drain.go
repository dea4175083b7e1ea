// Package drain is what the programs of the rivals have in common: how long the draining of a
// queue took, from its first handler to its last acknowledgement in the store.
package drain

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// PayloadBytes of a job.
const PayloadBytes = 256

const (
	patience = 5 * time.Minute
	look     = 2 * time.Millisecond
)

// Clock runs from the first handler of `jobs` on.
type Clock struct {
	jobs    int64
	handled atomic.Int64
	first   sync.Once
	began   time.Time
}

// NewClock of a drain of jobs.
func NewClock(jobs int) *Clock { return &Clock{jobs: int64(jobs)} }

// Handled is to be called by every handler.
func (c *Clock) Handled() {
	c.first.Do(func() { c.began = time.Now() })
	c.handled.Add(1)
}

// Await returns how long the drain took: until every job was handled and the store has none left,
// which left counts. left is asked only when every handler has run.
func (c *Clock) Await(left func() (int64, error)) (time.Duration, error) {
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(look) {
		if c.handled.Load() < c.jobs {
			continue
		}
		count, err := left()
		if err != nil {
			return 0, err
		}
		if count == 0 {
			return time.Since(c.began), nil
		}
	}
	return 0, fmt.Errorf("%d of %d jobs were handled in %s", c.handled.Load(), c.jobs, patience)
}

// Finish prints the result as one line of JSON, or the error, and ends the program.
func Finish(jobs int, took time.Duration, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"jobs": jobs, "seconds": took.Seconds()})
}

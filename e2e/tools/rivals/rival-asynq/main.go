// Command rival-asynq drains no-op jobs with asynq: all are stored in Redis, then one server works
// them off. Its last line says how long that took.
package main

import (
	"bytes"
	"context"
	"flag"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"lanekeeper.dev/e2e/tools/rivals/drain"
)

const producers = 64

func enqueue(option asynq.RedisClientOpt, jobs int) error {
	client := asynq.NewClient(option)
	defer client.Close()
	task := asynq.NewTask("noop", bytes.Repeat([]byte{'x'}, drain.PayloadBytes))
	var group errgroup.Group
	group.SetLimit(producers)
	for range jobs {
		group.Go(func() error {
			_, err := client.Enqueue(task)
			return err
		})
	}
	return group.Wait()
}

func run(address string, jobs, workers int) (time.Duration, error) {
	option := asynq.RedisClientOpt{Addr: address}
	if err := enqueue(option, jobs); err != nil {
		return 0, err
	}
	clock := drain.NewClock(jobs)
	server := asynq.NewServer(option, asynq.Config{Concurrency: workers, LogLevel: asynq.WarnLevel})
	handler := func(context.Context, *asynq.Task) error {
		clock.Handled()
		return nil
	}
	if err := server.Start(asynq.HandlerFunc(handler)); err != nil {
		return 0, err
	}
	defer server.Shutdown()
	store := redis.NewClient(&redis.Options{Addr: address})
	defer store.Close()
	return clock.Await(func() (int64, error) {
		// A task is in this list until it is acknowledged.
		return store.LLen(context.Background(), "asynq:{default}:active").Result()
	})
}

func main() {
	address := flag.String("redis", "127.0.0.1:6379", "where Redis listens")
	jobs := flag.Int("jobs", 10000, "how many jobs")
	workers := flag.Int("workers", 256, "how many at once")
	flag.Parse()
	took, err := run(*address, *jobs, *workers)
	drain.Finish(*jobs, took, err)
}

// Command rival-river drains no-op jobs with River: all are stored in PostgreSQL, then one client
// works them off. Its last line says how long that took.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"lanekeeper.dev/e2e/tools/rivals/drain"
)

const insertBatch = 5000

type noop struct {
	Filler string `json:"filler"`
}

func (noop) Kind() string { return "noop" }

type worker struct {
	river.WorkerDefaults[noop]
	clock *drain.Clock
}

func (w *worker) Work(context.Context, *river.Job[noop]) error {
	w.clock.Handled()
	return nil
}

func insert(ctx context.Context, client *river.Client[pgx.Tx], jobs int) error {
	// With `{"filler":""}` around it, the arguments of a job are PayloadBytes long.
	args := noop{Filler: strings.Repeat("x", drain.PayloadBytes-len(`{"filler":""}`))}
	for left := jobs; left > 0; left -= insertBatch {
		batch := make([]river.InsertManyParams, min(left, insertBatch))
		for n := range batch {
			batch[n].Args = args
		}
		if _, err := client.InsertManyFast(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func run(database string, jobs, workers int, cooldown time.Duration) (time.Duration, error) {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return 0, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return 0, err
	}

	clock := drain.NewClock(jobs)
	handlers := river.NewWorkers()
	river.AddWorker(handlers, &worker{clock: clock})
	client, err := river.NewClient(driver, &river.Config{
		FetchCooldown:     cooldown,
		FetchPollInterval: max(20*time.Millisecond, cooldown),
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers:           handlers,
	})
	if err != nil {
		return 0, err
	}
	if err := insert(ctx, client, jobs); err != nil {
		return 0, err
	}
	if err := client.Start(ctx); err != nil {
		return 0, err
	}
	defer func() { _ = client.StopAndCancel(ctx) }()
	return clock.Await(func() (int64, error) {
		var left int64
		err := pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state <> 'completed'").Scan(&left)
		return left, err
	})
}

func main() {
	database := flag.String("database", "", "PostgreSQL's connection string")
	jobs := flag.Int("jobs", 10000, "how many jobs")
	workers := flag.Int("workers", 256, "how many at once")
	cooldown := flag.Duration("cooldown", river.FetchCooldownDefault, "least time between two fetches")
	flag.Parse()
	took, err := run(*database, *jobs, *workers, *cooldown)
	drain.Finish(*jobs, took, err)
}

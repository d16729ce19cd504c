package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/calibrate"
	"narrow/diag"
	"narrow/internal/atomicfile"
	"narrow/internal/machine"
	"narrow/samples"
	"narrow/scheme"
)

// partFlags say which part of the samples a command works on, and which files hold
// what it found on the parts.
type partFlags struct {
	// shard is "i/n": the i-th of n parts.
	shard string
	i, n  int
	// save and from are the file of one part, and those of all; their flags' names.
	save           string
	from           []string
	saveAs, fromAs string
}

func (f *partFlags) add(c *cobra.Command, what, saveAs, fromAs string) {
	f.saveAs, f.fromAs = saveAs, fromAs
	c.Flags().StringVar(&f.shard, "shard", "", "work on a part of the samples, such as 2/4 for the second of four, and keep what it gives in the file of "+saveAs)
	c.Flags().StringVar(&f.save, saveAs[2:], "", "file of the part that --shard names")
	c.Flags().StringArrayVar(&f.from, fromAs[2:], nil, "take "+what+" in these files instead of samples: of all parts, in any order; a name, names or a pattern")
	_ = c.MarkFlagFilename(saveAs[2:])
	_ = c.MarkFlagFilename(fromAs[2:])
}

// args takes names of files behind --from-shards and the like.
func (f *partFlags) args(c *cobra.Command, args []string) error {
	if len(f.from) == 0 {
		return noArgs(c, args)
	}
	return nil
}

// check reads the flags; args are names behind them. alone are flags that do not go
// with a part, with those that do not go with merging.
func (f *partFlags) check(c *cobra.Command, args []string, alone, merging []string) error {
	switch {
	case f.shard == "" && f.save != "":
		return usagef("%s needs --shard: say which part of the samples it is, such as 1/4", f.saveAs)
	case f.shard != "" && f.save == "":
		return usagef("--shard needs %s: name the file to keep the part in", f.saveAs)
	case f.shard != "" && len(f.from) > 0:
		return usagef("--shard and %s do not go together: parts are computed one by one, and then merged", f.fromAs)
	case f.shard == "" && c.Flags().Changed("shard"):
		return usagef("--shard is empty: give a part such as 2/4, the second of four")
	}
	excluded := merging
	flag := f.fromAs
	if f.shard != "" {
		excluded, flag = alone, "--shard"
		i, n, ok := strings.Cut(f.shard, "/")
		var errs [2]error
		f.i, errs[0] = strconv.Atoi(i)
		f.n, errs[1] = strconv.Atoi(n)
		if !ok || errors.Join(errs[:]...) != nil || f.i < 1 || f.i > f.n {
			return usagef("--shard is %q: give a part such as 2/4, the second of four", f.shard)
		}
	} else if len(f.from) == 0 {
		return nil
	}
	for _, other := range excluded {
		if c.Flags().Changed(other) {
			return usagef("--%s does not go with %s", other, flag)
		}
	}
	if len(f.from) > 0 {
		return f.expand(args)
	}
	return nil
}

// expand replaces patterns by the files that they stand for.
func (f *partFlags) expand(args []string) error {
	var files []string
	for _, name := range append(f.from, args...) {
		if st, err := os.Stat(name); err == nil {
			if st.IsDir() {
				return usagef("%s %s: is a folder: name the files in it, such as '%s/*'", f.fromAs, name, filepath.Clean(name))
			}
			files = append(files, name)
			continue
		}
		found, err := filepath.Glob(name)
		if err != nil || len(found) == 0 {
			return usagef("%s %s: there is no such file", f.fromAs, name)
		}
		files = append(files, found...)
	}
	f.from = files
	return nil
}

// checkSave makes sure, before the work, that the file can be written.
func (f *partFlags) checkSave() error {
	if f.save == "" {
		return nil
	}
	if st, err := os.Stat(f.save); err == nil && st.IsDir() {
		return diag.Errorf("%s %s: is a folder: name a file in it", f.saveAs, f.save)
	}
	return f.saveError(atomicfile.CheckDir(filepath.Dir(f.save)))
}

// saveError tells an error about the folder of the file as such.
func (f *partFlags) saveError(err error) error {
	var dir *atomicfile.DirError
	if errors.As(err, &dir) {
		return diag.Errorf("%s %s: cannot be written: %s: %w: name another file", f.saveAs, f.save, dir.Dir, dir.Err)
	}
	return err
}

// part finds the part in the samples.
func (f *partFlags) part(set *samples.Set, size int) (first, count int, err error) {
	first, count, err = set.Part(f.i, f.n, size)
	if err != nil {
		return 0, 0, usagef("--shard %s: %w", f.shard, err)
	}
	return first, count, nil
}

// shardFlags are partFlags of calib.
type shardFlags struct {
	partFlags
	noKeep bool
}

func (f *shardFlags) add(c *cobra.Command) {
	f.partFlags.add(c, "what shards observed", "--save-shard", "--from-shards")
	c.Flags().BoolVar(&f.noKeep, "no-keep-samples", false, "with --shard: keep no samples in the file, which is small then; only --accuracy guide can merge such, and ties are not counted")
}

func (f *shardFlags) check(c *cobra.Command, args []string, propagate *string) error {
	others := []string{"save-stats", "from-stats", "checkpoint", "checkpoint-every"}
	merging := append([]string{"data", "labels", "subset-len", "shuffle", "seed", "max-memory", "skip-invalid", "keep-integers", "no-keep-samples"}, others...)
	if err := f.partFlags.check(c, args, others, merging); err != nil {
		return err
	}
	if f.shard == "" && len(f.from) == 0 {
		if f.noKeep {
			return usagef("--no-keep-samples needs --shard")
		}
		return nil
	}
	flag := "--shard"
	if len(f.from) > 0 {
		flag = "--from-shards"
	}
	how, err := propagation(*propagate)
	if err != nil {
		return err
	}
	if len(f.from) > 0 && c.Flags().Changed("refine-samples") {
		if n, err := c.Flags().GetInt("refine-samples"); err == nil && n > calibrate.KeptSamples {
			return usagef("--refine-samples is %d: shards keep %d samples to choose over", n, calibrate.KeptSamples)
		}
	}
	if how == calibrate.Progressive && c.Flags().Changed("propagate") {
		return usagef("%s goes with --propagate float: progressive propagation cannot be cut, since every layer sees its inputs quantized by all samples before", flag)
	}
	*propagate = calibrate.Float.String()
	return nil
}

// shardSummary is the JSON document of calib --shard.
type shardSummary struct {
	Shard   string  `json:"shard"`
	First   int     `json:"first"`
	Samples int     `json:"samples"`
	Of      int     `json:"of"`
	Bytes   int     `json:"bytes"`
	Seconds float64 `json:"seconds"`
	File    string  `json:"file"`
}

// shard calibrates on a part of the samples and writes its file.
func (j *calibJob) shard(ctx context.Context) error {
	f := &j.f.shards
	first, n, err := f.part(j.set, canaries)
	if err != nil {
		return err
	}
	digests, err := j.set.Digests(ctx, first, n)
	if err != nil {
		return err
	}
	bar, progress := j.a.bar(diag.Textf("calibrating"), n)
	defer func() { bar.Done() }()
	start := time.Now()
	size := j.set.BatchSize(canaries)
	whole := size
	for whole < canaries {
		whole += size
	}
	s, err := j.planned.Shard(ctx, j.engine, narrow.ShardOptions{
		CalibrateOptions: narrow.CalibrateOptions{Propagate: j.how, Threads: j.f.cores(), SkipInvalid: j.f.skipInvalid, Progress: progress, Some: j.some(ctx), KeepIntegers: j.f.accuracy.keepIntegers},
		ShardSamples: calibrate.ShardSamples{
			Own: j.set.BatchesOf(ctx, size, first, first+n), First: first, Count: n,
			Canary: j.set.BatchesOf(ctx, size, 0, min(whole, j.set.Len())), Digests: digests,
		},
		All: j.set.Len(), Head: j.set.HashHead(), Engine: "ONNX Runtime " + j.engine.Version(), Machine: machine.Name(), NoKeep: f.noKeep,
	})
	if err != nil {
		return err
	}
	sum := shardSummary{Shard: f.shard, First: first, Samples: n, Of: j.set.Len(), File: f.save}
	if err := j.a.commit(ctx, func() (err error) {
		sum.Bytes, err = s.Write(f.save)
		return f.saveError(err)
	}); err != nil {
		return err
	}
	sum.Seconds = time.Since(start).Seconds()
	bar.Done()
	if j.f.asJSON {
		return j.a.printJSON(sum)
	}
	return j.a.say(diag.Textf("calibrated on samples %d to %d of %d (%.1f s)", first, first+n-1, sum.Of, sum.Seconds),
		diag.Textf("wrote %s (%d bytes)", f.save, sum.Bytes))
}

// canaries is how many samples every shard runs, and at multiples of what samples are
// cut.
const canaries = 8

// openShards reads the shards that were named. Where --accuracy says nothing, they
// say how they are to be merged.
func (j *calibJob) openShards() (err error) {
	f := j.f
	if len(f.shards.from) == 0 {
		return nil
	}
	if j.shards, err = calibrate.OpenShards(f.shards.from); err != nil {
		return usageOfMismatch(err)
	}
	if of := j.shards.Accuracy; f.accuracy.level == "" && of != f.accuracy.chosen.String() {
		if f.accuracy.chosen, err = scheme.ParseAccuracy(of); err == nil && f.accuracy.chosen == narrow.Guide {
			f.accuracy.takeGuide(j.a, diag.Textf("the shards are of it"))
		}
	}
	return err
}

// fromShards calibrates from the shards that were named.
func (j *calibJob) fromShards(ctx context.Context) (*narrow.Calibrated, error) {
	start := time.Now()
	s := j.shards
	c, err := j.planned.Calibrate(ctx, j.engine, nil, narrow.CalibrateOptions{FromShards: s, BatchSize: j.f.batch, Threads: j.f.cores(), RefineSamples: j.f.accuracy.samples})
	if err != nil {
		return nil, usageOfMismatch(err)
	}
	j.seconds, j.kept = time.Since(start).Seconds(), s.Kept()
	j.a.printFindings(j.a.stderr, c.Result.Findings, nil)
	j.planned = c.Planned
	return c, nil
}

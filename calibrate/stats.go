package calibrate

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"hash"
	"hash/crc32"
	"io"
	"math"

	"narrow/diag"
	"narrow/plan"
)

// StatsFormat is the format of the file that [SaveStats] describes.
const StatsFormat = "narrow.stats/1"

// SaveStats asks a calibration in float propagation to keep what any strategy
// for the same network needs: for each watched value and sample a record (see
// package observe; some 3 KB, whatever the value's size), and for each weighted
// operation the mean of what its weights multiply.
//
// The file is a line with the format's name, then frames: a byte for the kind,
// the length of the rest as a varint, the rest. Kinds are records (value,
// first sample, number of samples, then for each sample 0 and a record, or 1
// and the float32 that is NaN or infinite), means (node, samples, samples
// skipped, length, float64 sums, each rounded once), and last [StatsInfo] as JSON. Numbers are
// varints or little-endian. The CRC-32C of all that ends the file.
type SaveStats struct {
	W io.Writer
	// Info tells what the statistics are of. Format, Samples, Batches and Values
	// are filled in.
	Info StatsInfo
}

const (
	// StatsLimit is how large a file of statistics may become, as [StatsSize] estimates
	// it: whoever reads it holds all of it.
	StatsLimit = 4 << 30
	// recordSize is what a record mostly takes.
	recordSize = 3 << 10
)

// StatsSize estimates how many bytes the statistics of so many samples take.
func StatsSize(p *plan.Plan, samples int) int64 {
	return int64(len(p.Watch().Tensors)) * int64(samples) * recordSize
}

// StatsInfo says what statistics are of.
type StatsInfo struct {
	Format string `json:"format"`
	// Version is narrow's.
	Version string `json:"version"`
	// ModelPath is the model's file as it was given, ModelSHA256 the hash of its
	// bytes, NetworkSHA256 that of the network after the strategy's rewrites.
	ModelPath     string `json:"model_path"`
	ModelSHA256   string `json:"model_sha256"`
	NetworkSHA256 string `json:"network_sha256"`
	// Switches are the settings that chose the rewrites.
	Switches map[string]bool `json:"switches"`
	// SamplesSHA256 is over the samples' elements.
	SamplesSHA256 string `json:"samples_sha256"`
	Samples       int    `json:"samples"`
	Batches       int    `json:"batches"`
	// Values are the watched values; records count them from 0.
	Values []string `json:"values"`
}

const statsMagic = StatsFormat + "\n"

// Kinds of frames.
const (
	frameRecords = 1
	frameMeans   = 2
	frameInfo    = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// statsWriter writes statistics. The first error stays.
type statsWriter struct {
	w     *bufio.Writer
	crc   hash.Hash32
	info  StatsInfo
	index map[*plan.Tensor]int
	buf   []byte
	err   error
}

func newStatsWriter(s *SaveStats, watched []*plan.Tensor) *statsWriter {
	w := &statsWriter{crc: crc32.New(castagnoli), info: s.Info, index: map[*plan.Tensor]int{}}
	w.w = bufio.NewWriterSize(io.MultiWriter(s.W, w.crc), 1<<16)
	w.info.Format = StatsFormat
	w.info.Values = []string{}
	for i, t := range watched {
		w.index[t] = i
		w.info.Values = append(w.info.Values, t.Name)
	}
	_, w.err = w.w.WriteString(statsMagic)
	return w
}

func (w *statsWriter) frame(kind byte, payload []byte) error {
	if w.err == nil {
		head := binary.AppendUvarint([]byte{kind}, uint64(len(payload)))
		if _, w.err = w.w.Write(head); w.err == nil {
			_, w.err = w.w.Write(payload)
		}
	}
	if w.err != nil {
		return diag.Errorf("writing the statistics: %w", w.err)
	}
	return nil
}

// records writes what some samples of one value gave; none where the value has
// no elements.
func (w *statsWriter) records(t *plan.Tensor, first int, es []entry) error {
	b := binary.AppendUvarint(w.buf[:0], uint64(w.index[t]))
	b = binary.AppendUvarint(b, uint64(first))
	b = binary.AppendUvarint(b, uint64(len(es)))
	for _, e := range es {
		if e.record == nil {
			b = append(b, 1)
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(e.bad))
			continue
		}
		b = append(b, 0)
		var err error
		if b, err = e.record.AppendBinary(b); err != nil {
			return err
		}
	}
	w.buf = b
	return w.frame(frameRecords, b)
}

// means writes what input means gathered.
func (w *statsWriter) means(node int, p *inputMeans) error {
	b := binary.AppendUvarint(w.buf[:0], uint64(node))
	b = binary.AppendUvarint(b, uint64(p.samples))
	b = binary.AppendUvarint(b, uint64(p.invalid))
	b = binary.AppendUvarint(b, uint64(len(p.sum)))
	for _, v := range rounded(p.sum) {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	w.buf = b
	return w.frame(frameMeans, b)
}

// finish writes the rest of what f gathered.
func (w *statsWriter) finish(f *floatRun) error {
	for i := range f.c.plan.Model.Graph.Nodes {
		if p := f.means[i]; p != nil {
			if err := w.means(i, p); err != nil {
				return err
			}
		}
	}
	w.info.Samples, w.info.Batches = f.c.out.Samples, f.c.out.Batches
	info, err := json.Marshal(w.info)
	if err != nil {
		return diag.Errorf("writing the statistics: %w", err)
	}
	if err := w.frame(frameInfo, info); err != nil {
		return err
	}
	if err := w.w.Flush(); err != nil {
		return diag.Errorf("writing the statistics: %w", err)
	}
	_, err = w.w.Write(binary.LittleEndian.AppendUint32(nil, w.crc.Sum32()))
	if err == nil {
		err = w.w.Flush()
	}
	if err != nil {
		return diag.Errorf("writing the statistics: %w", err)
	}
	return nil
}

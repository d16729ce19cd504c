package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestCheckpointAfterKills: a calibration killed at random batches, and
// started again each time, ends with the bytes of one that nobody killed, and
// loses no more than it must.
func TestCheckpointAfterKills(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short: it depends on how fast the program is")
	}
	if runtime.GOOS == "windows" {
		t.Skip("a killed process leaves its files open there for a while")
	}
	model := sandbox(t)
	if err := mkFile(strings.Fields("npy many.npy float32 600,1,28,28 abs")); err != nil {
		t.Fatal(err)
	}
	t.Setenv(accuracyEnv, "guide")
	draw := rand.New(rand.NewPCG(4, 0))
	for _, flags := range []string{"", "--propagate float", "--config-file other.json --shuffle", "--accuracy high"} {
		calib := "calib --data many.npy --batch-size 6 --model " + model + " " + flags
		start := time.Now()
		c, stderr := narrowCommand(calib + " -o whole")
		if err := c.Run(); err != nil {
			t.Fatal(err, stderr)
		}
		took := time.Since(start)
		want := visible(t, "whole")

		calib += " -o out --checkpoint keep --checkpoint-every 15ms"
		resumed, most := 0, 0
		for try := 0; ; try++ {
			if try == 40 {
				t.Fatalf("calib %s does not come to an end", flags)
			}
			c, stderr := narrowCommand(calib)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			killed := false
			if try < 5 {
				// Some way into the batches, wherever the process is by then.
				had, _ := os.ReadFile("keep")
				for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
					if now, err := os.ReadFile("keep"); err == nil && !bytes.Equal(now, had) {
						break
					}
				}
				time.Sleep(time.Duration(draw.Float64() * float64(took) / 8))
				killed = c.Process.Kill() == nil
			}
			err := c.Wait()
			var done int
			if _, scan := fmt.Sscanf(stderr.String(), "resuming after %d of", &done); scan == nil {
				if resumed++; done < most {
					t.Errorf("resumes after %d samples where %d were done before", done, most)
				}
				most = done
			}
			if err == nil {
				break
			}
			if !killed {
				t.Fatalf("narrow %s: %v\n%s", calib, err, stderr)
			}
			if _, err := os.Stat("out/quant_info.json"); err == nil {
				break // killed right behind the end
			}
		}
		if resumed < 3 || most == 0 {
			t.Errorf("calib %s resumed %d times, the last time after %d samples: too few to tell", flags, resumed, most)
		}
		got := visible(t, "out")
		for name := range got { // the listing and the rest; nothing tells of the kills
			if got[name] != want[name] {
				t.Errorf("calib %s: %s is not what it is without kills", flags, name)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("calib %s: %v", flags, difference(want, got))
		}
		if _, err := os.Stat("keep"); err == nil && resumed > 0 {
			t.Error("the checkpoint of a calibration that is done stays")
		}
		for _, dir := range []string{"out", "whole"} {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		os.Remove("keep")
	}
}

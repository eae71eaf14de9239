package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"
)

// goroutineLabel marks the goroutines that a call starts, by inheritance.
const goroutineLabel = "thanoskit_storetest"

// kept are parts of the stacks of goroutines that are there for later calls:
// connections that stay open.
var kept = [...]string{
	"net/http.(*persistConn).", "net/http.(*http2", "net/http.(*Transport).", "golang.org/x/net/http2.",
	"google.golang.org/grpc/internal/transport.", "google.golang.org/grpc.(*", "google.golang.org/grpc/internal/grpcsync.",
	"database/sql.(*DB).",
}

// checkGoroutines makes calls that end in each way a call can, and looks for
// goroutines that they started.
func checkGoroutines(ctx context.Context, p *probe) error {
	if err := p.after(checkPrompt); err != nil {
		return err
	}
	if _, err := p.all(ctx); err != nil {
		return err
	}
	for _, way := range []struct {
		name string
		call func(ctx context.Context)
	}{
		{"that was answered", func(ctx context.Context) {
			_, _ = ask(ctx, p.store, p.request(), &receiver{known: p.known, max: p.opts.MaxSeries})
		}},
		{"whose reader wanted no more", func(ctx context.Context) {
			_, _ = ask(ctx, p.store, p.request(), &receiver{known: p.known, onSend: func(int) error { return errEnough }})
		}},
		{"that was canceled", func(ctx context.Context) { p.canceled(ctx) }},
	} {
		id := rand.Text()
		pprof.Do(ctx, pprof.Labels(goroutineLabel, id), way.call)
		stack, err := p.left(ctx, id)
		if err != nil {
			return err
		}
		if stack != "" {
			return fmt.Errorf("%s after a call %s, a goroutine that it started is still there: %s", p.opts.Patience, way.name, stack)
		}
	}
	return nil
}

// left waits until no goroutine with a label is left, and returns where one is
// that stays.
func (p *probe) left(ctx context.Context, id string) (string, error) {
	deadline := time.Now().Add(p.opts.Patience)
	for wait := time.Millisecond; ; wait *= 2 {
		stack, err := labelled(id)
		if err != nil || stack == "" || time.Now().After(deadline) {
			return stack, err
		}
		if err := pause(ctx, min(wait, time.Until(deadline)+time.Millisecond)); err != nil {
			return "", err
		}
	}
}

// labelled returns where a goroutine is that has the label, or the empty
// string.
func labelled(id string) (string, error) {
	profile := pprof.Lookup("goroutine")
	if profile == nil {
		return "", errors.New("there is no profile of goroutines")
	}
	var b bytes.Buffer
	if err := profile.WriteTo(&b, 1); err != nil {
		return "", fmt.Errorf("list goroutines: %w", err)
	}
	label := fmt.Sprintf("%q:%q", goroutineLabel, id)
next:
	for g := range strings.SplitSeq(b.String(), "\n\n") {
		if !strings.Contains(g, label) {
			continue
		}
		for _, k := range kept {
			if strings.Contains(g, k) {
				continue next
			}
		}
		return frames(g), nil
	}
	return "", nil
}

// frames returns the innermost functions of a goroutine in the text form of a
// profile.
func frames(g string) string {
	const most = 4
	var out []string
	for line := range strings.Lines(g) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[0] == "#" && fields[1] != "labels:" && len(out) < most {
			out = append(out, fields[2])
		}
	}
	return strings.Join(out, " < ")
}

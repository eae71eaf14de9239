package faults_test

import (
	"testing"

	"go.uber.org/goleak"
)

// This directory has tests only: what a fan-out owes its caller when one of its
// members is at fault, in process and over gRPC. Of each fault the member's
// outcome is asserted, the warning or error that names it, that the data of all
// others arrives whole, sample by sample, and that no frame, byte of the buffer
// budget or goroutine stays behind.
//
// TestHugeAnswer sends as much as its flag says:
//
//	go test ./store/fanout/faults -run TestHugeAnswer -v -faults.bytes 10737418240

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A verifier that nobody here wrote: Go's sumdb packages judge our checkpoints and proofs.
// It reads a JSON value a line and answers each with a line: "good", or why not.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Keys  []string    // verifier keys that are trusted
	Note  string      // the checkpoint a proof leads to
	Old   string      // for consistency: the checkpoint it starts from
	Index int64       // for inclusion: the place of the entry
	Entry *string     // for inclusion: the bytes that were sealed
	Proof []tlog.Hash // the hashes of the proof
}

func opened(text string, keys []string) (size int64, root tlog.Hash, err error) {
	var known []note.Verifier
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return 0, root, err
		}
		known = append(known, verifier)
	}
	signed, err := note.Open([]byte(text), note.VerifierList(known...))
	if err != nil {
		return 0, root, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], "/") {
		return 0, root, errors.New("not a checkpoint")
	}
	size, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return 0, root, err
	}
	root, err = tlog.ParseHash(lines[2])
	return size, root, err
}

func judge(q question) error {
	size, root, err := opened(q.Note, q.Keys)
	if err != nil {
		return err
	}
	if q.Entry != nil {
		return tlog.CheckRecord(q.Proof, size, root, q.Index, tlog.RecordHash([]byte(*q.Entry)))
	}
	if q.Old == "" {
		return nil
	}
	before, was, err := opened(q.Old, q.Keys)
	if err != nil {
		return err
	}
	return tlog.CheckTree(q.Proof, size, root, before, was)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			fmt.Println("unreadable:", err)
		} else if err := judge(q); err != nil {
			fmt.Println("bad:", err)
		} else {
			fmt.Println("good")
		}
	}
}

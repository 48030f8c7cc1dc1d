// SPDX-License-Identifier: GPL-2.0-only
// bolt: bolt_work work|careless|check|open DIR [ACK]
package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/boltdb/bolt"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func value(n int) []byte {
	return []byte(strings.Repeat(strconv.Itoa(n), 500))
}

func promised(path string) int {
	text, _ := os.ReadFile(path)
	words := strings.Fields(string(text))
	if len(words) == 0 {
		return -1
	}
	n, err := strconv.Atoi(words[len(words)-1])
	must(err)
	return n
}

func open(dir string) *bolt.DB {
	db, err := bolt.Open(dir+"/db", 0600, &bolt.Options{Timeout: time.Second})
	must(err)
	return db
}

func work(dir string, noSync bool) {
	db := open(dir)
	db.NoSync = noSync
	// Its name is bolt's user's to make durable
	d, err := os.Open(dir)
	must(err)
	must(d.Sync())
	fd3 := os.NewFile(3, "promises")
	for n := 0; n < 8; n++ {
		must(db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put([]byte(strconv.Itoa(n)), value(n))
		}))
		fmt.Fprintln(fd3, n)
	}
	must(db.Close())
}

func check(dir string, number int) {
	db := open(dir)
	must(db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("b"))
		for n := 0; n <= number; n++ {
			if b == nil || !bytes.Equal(b.Get([]byte(strconv.Itoa(n))), value(n)) {
				return fmt.Errorf("promised %d missing %d", number, n)
			}
		}
		return nil
	}))
	must(db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		return nil
	}))
	must(db.Close())
}

func main() {
	switch os.Args[1] {
	case "open":
		must(open(os.Args[2]).Close())
	case "check":
		// Before the first promise it may be anything
		if n := promised(os.Args[3]); n >= 0 {
			check(os.Args[2], n)
		}
	default:
		work(os.Args[2], os.Args[1] == "careless")
	}
}

// Asks ocicni itself, which CRI-O carries, which file of a folder it takes for the pods.
//
//	judge   one JSON request a line on stdin; answers one JSON line each
//
// One source for every release of ocicni: only what all of them have is used.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"

	"github.com/cri-o/ocicni/pkg/ocicni"
	"github.com/sirupsen/logrus"
)

// Request is a folder of configs, one of plugins, and the network that CRI-O is told to take.
type Request struct {
	Folder  string `json:"folder"`
	BinDir  string `json:"binDir"`
	Cache   string `json:"cache"`
	Default string `json:"default"`
}

// Taken is the network of the pods: its name and file; empty where there is none.
type Taken struct {
	Error   string `json:"error"`
	Network string `json:"network"`
	File    string `json:"file"`
}

func choose(request Request) (taken Taken) {
	defer func() {
		if crash := recover(); crash != nil {
			taken = Taken{Error: fmt.Sprintf("panic: %v", crash)}
		}
	}()
	plugin, err := ocicni.InitCNINoInotify(request.Default, request.Folder, request.Cache, request.BinDir)
	if err != nil {
		return Taken{Error: "init: " + err.Error()}
	}
	if err := plugin.Status(); err != nil {
		return Taken{Error: err.Error()}
	}
	taken.Network = plugin.GetDefaultNetworkName()
	// Two files may name one network, and only the plugin's own map tells which of them is meant.
	networks := reflect.ValueOf(plugin).Elem().FieldByName("networks")
	network := networks.MapIndex(reflect.ValueOf(taken.Network)).Elem()
	taken.File = filepath.Base(network.FieldByName("filePath").String())
	return taken
}

func main() {
	logrus.SetOutput(io.Discard)
	lines := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var request Request
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			answers.Encode(Taken{Error: "request: " + err.Error()})
			continue
		}
		answers.Encode(choose(request))
	}
}

// Asks libcni itself how it reads config folders and what its commands do, so that this project's
// reading and predictions are held against the original and not against a memory of it.
//
//	judge read   folders on stdin, one a line; answers one JSON line each
//	judge run    requests on stdin, one JSON a line; answers one JSON line each
//	judge ask    paths of plugins on stdin, one a line; answers what libcni learns from VERSION
//	judge decode answers to VERSION on stdin, one in base64 a line; answers what libcni reads there
//
// One source for every release of libcni: only what all of them have is used.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// File is what libcni makes of one file of a folder.
type File struct {
	Name         string   `json:"name"`
	Error        string   `json:"error"`
	Network      string   `json:"network"`
	Version      string   `json:"version"`
	Chain        []string `json:"chain"`
	DisableCheck bool     `json:"disableCheck"`
	// Told is the version that each plugin reads in the config that libcni hands to it.
	Told []string `json:"told"`
	// Given is the whole config that libcni hands to each plugin.
	Given []json.RawMessage `json:"given"`
}

// Folder is what is loaded of a folder: each file alone, and what containerd's go-cni takes.
type Folder struct {
	Files []File `json:"files"`
	// Containerd is what it takes with its default of one config, Loaded by max_conf_num; 0 is all.
	Containerd Taken          `json:"containerd"`
	Loaded     map[int]Loaded `json:"loaded"`
}

// Taken is the network that go-cni loads from a folder with its default of one config.
type Taken struct {
	Error   string `json:"error"`
	Network string `json:"network"`
	Version string `json:"version"`
}

// Loaded is what go-cni loads from a folder with some number of configs: name and version of each.
type Loaded struct {
	Error    string      `json:"error"`
	Networks [][2]string `json:"networks"`
}

func readFile(path string) (file File) {
	file = File{Name: filepath.Base(path), Chain: []string{}, Told: []string{},
		Given: []json.RawMessage{}}
	defer func() {
		if crash := recover(); crash != nil {
			file.Error = fmt.Sprintf("panic: %v", crash)
		}
	}()
	var list *libcni.NetworkConfigList
	var err error
	// As go-cni and ocicni both do it.
	if strings.HasSuffix(path, ".conflist") {
		list, err = libcni.ConfListFromFile(path)
	} else {
		var conf *libcni.NetworkConfig
		if conf, err = libcni.ConfFromFile(path); err == nil {
			list, err = libcni.ConfListFromConf(conf)
		}
	}
	if err != nil {
		file.Error = err.Error()
		return file
	}
	file.Network, file.Version, file.DisableCheck = list.Name, list.CNIVersion, list.DisableCheck
	for _, plugin := range list.Plugins {
		file.Chain = append(file.Chain, plugin.Network.Type)
		if plugin.Network.IPAM.Type != "" {
			file.Chain = append(file.Chain, plugin.Network.IPAM.Type)
		}
		// As libcni's buildOneConfig does it, then as a plugin's skel does.
		given, err := libcni.InjectConf(plugin, map[string]interface{}{
			"name": list.Name, "cniVersion": list.CNIVersion})
		if err != nil {
			file.Told = append(file.Told, "error: "+err.Error())
			continue
		}
		told := types.NetConf{}
		if err := json.Unmarshal(given.Bytes, &told); err != nil {
			file.Told = append(file.Told, "error: "+err.Error())
			continue
		}
		file.Told = append(file.Told, told.CNIVersion)
		file.Given = append(file.Given, given.Bytes)
	}
	return file
}

func readFolder(dir string) Folder {
	folder := Folder{Files: []File{}, Loaded: map[int]Loaded{}}
	names, err := libcni.ConfFiles(dir, []string{".conf", ".conflist", ".json"})
	if err != nil {
		folder.Containerd.Error = err.Error()
		return folder
	}
	sort.Strings(names)
	for _, name := range names {
		folder.Files = append(folder.Files, readFile(name))
	}
	for _, most := range []int{0, 1, 2} {
		folder.Loaded[most] = containerd(dir, most)
	}
	folder.Containerd.Error = folder.Loaded[1].Error
	for _, each := range folder.Loaded[1].Networks {
		folder.Containerd.Network, folder.Containerd.Version = each[0], each[1]
	}
	return folder
}

func containerd(dir string, most int) (loaded Loaded) {
	defer func() {
		if crash := recover(); crash != nil {
			loaded = Loaded{Error: fmt.Sprintf("panic: %v", crash)}
		}
	}()
	network, err := gocni.New(gocni.WithMinNetworkCount(1), gocni.WithPluginConfDir(dir),
		gocni.WithPluginMaxConfNum(most))
	if err != nil {
		return Loaded{Error: err.Error()}
	}
	if err := network.Load(gocni.WithDefaultConf); err != nil {
		return Loaded{Error: err.Error()}
	}
	for _, each := range network.GetConfig().Networks {
		loaded.Networks = append(loaded.Networks, [2]string{each.Config.Name, each.Config.CNIVersion})
	}
	if len(loaded.Networks) == 0 {
		return Loaded{Error: "no network"}
	}
	return loaded
}

// Request is one command of libcni on one pod's interface.
type Request struct {
	// ADD (ADD-LO where no address is wanted), CHECK, DEL; STATUS as CRI-O asks for it, DEL-CACHED as
	// CRI-O deletes; PLUGIN-STATUS and GC are the commands of 1.1.0
	Command   string `json:"command"`
	File      string `json:"file"`
	Container string `json:"container"`
	NetNS     string `json:"netns"`
	BinDir    string `json:"binDir"`
	CacheDir  string `json:"cacheDir"`
	// Capabilities is what the runtime hands on of the pod; a hostPort where nothing is said.
	Capabilities map[string]interface{} `json:"capabilities"`
}

var hostPort = map[string]interface{}{"portMappings": []map[string]interface{}{
	{"hostPort": 18080, "containerPort": 80, "protocol": "tcp"}}}

func run(request Request) error {
	var list *libcni.NetworkConfigList
	var err error
	if strings.HasSuffix(request.File, ".conflist") {
		list, err = libcni.ConfListFromFile(request.File)
	} else {
		var conf *libcni.NetworkConfig
		if conf, err = libcni.ConfFromFile(request.File); err == nil {
			list, err = libcni.ConfListFromConf(conf)
		}
	}
	if err != nil {
		return err
	}
	cni := libcni.NewCNIConfigWithCacheDir([]string{request.BinDir}, request.CacheDir, nil)
	if request.Capabilities == nil {
		request.Capabilities = hostPort
	}
	runtime := &libcni.RuntimeConf{
		ContainerID:    request.Container,
		NetNS:          request.NetNS,
		IfName:         "eth0",
		CapabilityArgs: request.Capabilities,
	}
	ctx := context.Background()
	switch request.Command {
	case "ADD", "ADD-LO":
		var result types.Result
		if result, err = cni.AddNetworkList(ctx, list, runtime); err == nil && request.Command == "ADD" {
			err = addressed(result)
		}
	case "CHECK":
		err = cni.CheckNetworkList(ctx, list, runtime)
	case "DEL":
		err = cni.DelNetworkList(ctx, list, runtime)
	case "STATUS":
		// ocicni checkNetwork, with the config cached at ADD.
		if list, runtime, err = cached(cni, list, runtime); err != nil {
			return err
		}
		var checks bool
		if checks, err = version.GreaterThanOrEqualTo(list.CNIVersion, "0.4.0"); err != nil {
			return err
		}
		if checks {
			if err = cni.CheckNetworkList(ctx, list, runtime); err != nil {
				return err
			}
		}
		_, err = cni.GetNetworkListCachedResult(list, runtime)
	case "DEL-CACHED":
		if list, runtime, err = cached(cni, list, runtime); err != nil {
			return err
		}
		err = cni.DelNetworkList(ctx, list, runtime)
	case "PLUGIN-STATUS":
		err = since12(cni, "GetStatusNetworkList", ctx, list)
	case "GC":
		err = since12(cni, "GCNetworkList", ctx, list)
	default:
		err = fmt.Errorf("unknown command %q", request.Command)
	}
	return err
}

// since12 calls a command that came with libcni 1.2. GC gets no valid attachment: all others go.
func since12(cni *libcni.CNIConfig, name string, ctx context.Context, list *libcni.NetworkConfigList) error {
	method := reflect.ValueOf(cni).MethodByName(name)
	if !method.IsValid() {
		return fmt.Errorf("this libcni has no %s", name)
	}
	given := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(list)}
	if method.Type().NumIn() == 3 {
		given = append(given, reflect.New(method.Type().In(2).Elem()))
	}
	answers := method.Call(given)
	err, _ := answers[len(answers)-1].Interface().(error)
	return err
}

// containerd fails a pod whose result holds no address (cri `sandbox_run.go` selectPodIPs).
func addressed(result types.Result) error {
	data, err := json.Marshal(result)
	if err != nil {
		return err
	}
	ips := struct {
		IPs []interface{} `json:"ips"`
		IP4 interface{}   `json:"ip4"`
		IP6 interface{}   `json:"ip6"`
	}{}
	if err := json.Unmarshal(data, &ips); err != nil {
		return err
	}
	if len(ips.IPs) == 0 && ips.IP4 == nil && ips.IP6 == nil {
		return fmt.Errorf("the result holds no address: %s", data)
	}
	return nil
}

func cached(cni *libcni.CNIConfig, list *libcni.NetworkConfigList, runtime *libcni.RuntimeConf,
) (*libcni.NetworkConfigList, *libcni.RuntimeConf, error) {
	config, given, err := cni.GetNetworkListCachedConfig(list, runtime)
	if err != nil {
		return nil, nil, err
	}
	if config == nil {
		// ocicni falls back to the file.
		return list, runtime, nil
	}
	read, err := libcni.ConfListFromBytes(config)
	return read, given, err
}

// Versions is what libcni takes from an answer to VERSION; null where it takes none. An error can
// have no text.
type Versions struct {
	Error    string   `json:"error"`
	Versions []string `json:"versions"`
	// Current is the version that libcni's question names.
	Current string `json:"current"`
}

func told(info version.PluginInfo, err error) Versions {
	if err != nil {
		return Versions{Error: err.Error(), Current: version.Current()}
	}
	return Versions{Versions: info.SupportedVersions(), Current: version.Current()}
}

func decode(line string) Versions {
	answer, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		panic(err)
	}
	return told((&version.PluginDecoder{}).Decode(answer))
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<24)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	answers := json.NewEncoder(out)
	for lines.Scan() {
		switch os.Args[1] {
		case "read":
			answers.Encode(readFolder(lines.Text()))
			out.Flush()
		case "ask":
			answers.Encode(told(invoke.GetVersionInfo(context.Background(), lines.Text(), nil)))
			out.Flush()
		case "decode":
			answers.Encode(decode(lines.Text()))
			out.Flush()
		case "run":
			var request Request
			answer := map[string]string{"error": ""}
			err := json.Unmarshal(lines.Bytes(), &request)
			if err == nil {
				err = run(request)
			}
			if err != nil {
				answer["error"] = err.Error()
			}
			answers.Encode(answer)
			out.Flush()
		}
	}
}

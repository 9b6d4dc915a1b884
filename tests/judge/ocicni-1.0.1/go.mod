module cniupgrade.test/judge-ocicni-1.0.1

go 1.25.0

require (
	github.com/cri-o/ocicni v0.2.1-0.20211005135702-b38844812e64
	github.com/sirupsen/logrus v1.8.1
)

require (
	github.com/containernetworking/cni v1.0.1 // indirect
	github.com/containernetworking/plugins v1.0.1 // indirect
	github.com/fsnotify/fsnotify v1.5.1 // indirect
	github.com/vishvananda/netlink v1.1.1-0.20210811191823-e1a867c6b452 // indirect
	github.com/vishvananda/netns v0.0.0-20210104183010-2eb08e3e575f // indirect
	golang.org/x/sys v0.0.0-20210809222454-d867a43fc93e // indirect
)

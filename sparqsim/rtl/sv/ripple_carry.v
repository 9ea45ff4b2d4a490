// For Yosys: carries that ripple through an adder, instead of the tree of its default map.
(* techmap_celltype = "$lcu" *)
module _80_ripple_carry #(parameter WIDTH = 1) (
    input [WIDTH-1:0] P,
    input [WIDTH-1:0] G,
    input CI,
    output [WIDTH-1:0] CO
);
    assign CO = G | (P & {CO, CI});
endmodule

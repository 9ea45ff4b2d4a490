// edge_unit for BIT_SCALABLE designs: what the bits of a layer, or of a step, make of the PEs travels with the activations.
`include "parameters.svh"
module edge_scalable #(`PE_PARAMETERS) (
    input [XW-1:0] x,
    output [AW-1:0] a
);
    localparam [2:0] LAST_A = ACTIVATION_BITS - 1, LAST_W = WEIGHT_BITS - 1;
    localparam [1:0] MODE_A = ACTIVATION_BITS > 4 ? 2 : ACTIVATION_BITS > 2 ? 1 : 0;
    localparam [1:0] MODE_W = WEIGHT_BITS > 4 ? 2 : WEIGHT_BITS > 2 ? 1 : 0;
    generate
        if (KIND == `STRIPES) begin : stripes
            precision_unit #(LANES, SIGNED, ACTIVATION_BITS, DYNAMIC) unit(x, a);
        end else if (KIND == `LOOM) begin : loom
            assign a = {LAST_W, LAST_A, x};
        end else if (KIND == `PRAGMATIC) begin : pragmatic
            digits_unit #(LANES, SIGNED, NAF) unit(x, a);
        end else if (KIND == `FUSION) begin : fusion
            assign a = {MODE_W, MODE_A, x};
        end else begin : stored_as_used
            assign a = x;
        end
    endgenerate
endmodule

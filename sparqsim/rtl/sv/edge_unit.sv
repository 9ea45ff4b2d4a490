// Activations as memory holds them to activations as PEs see them; one per row (os, ws) or column (is) of the array.
`include "parameters.svh"
module edge_unit #(`PE_PARAMETERS) (
    input [XW-1:0] x,
    output [AW-1:0] a
);
`ifdef BIT_SCALABLE
    edge_scalable #(`PE_PASS) unit(x, a);
`else
    generate
        if (KIND == `SPARQ) begin : sparq
            wire lone, lost;
            trim_unit #(BITS, STRIDE, PLACES, CODE, LONE_PLACES, ROUND, PAIRING) unit(x[7:0], x[15:8], a, lone, lost);
        end else if (KIND == `EXACT) begin : exact
            exact_unit #(BITS, STRIDE, PLACES, CODE, LONE_PLACES) unit(x[7:0], x[15:8], a);
        end else begin : stored_as_used
            assign a = x;
        end
    endgenerate
`endif
endmodule
